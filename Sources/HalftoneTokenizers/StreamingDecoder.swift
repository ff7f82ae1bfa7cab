/// Decodes ids one at a time, as they are generated.
///
/// Each call decodes the latest ids together with those that gave the last text, because a token
/// may read differently at the start of a text. Text that ends in U+FFFD may be the beginning of
/// a character and is held back until it is complete or cannot become so.
public struct StreamingDecoder: Sendable {
  /// An incomplete character is at most three ids long; text that really holds U+FFFD may stand
  /// before it, so more are awaited before the text is let go as it is.
  private static let mostHeld = 16

  private let tokenizer: any Tokenizer
  private let skippingSpecialTokens: Bool
  private var context: [Int]
  private var held: [Int] = []

  /// Makes a decoder of what follows `context`, such as a prompt; empty at the start of a text.
  public init(
    _ tokenizer: any Tokenizer, skippingSpecialTokens: Bool = true, after context: [Int] = []
  ) {
    self.tokenizer = tokenizer
    self.skippingSpecialTokens = skippingSpecialTokens
    self.context = context.suffix(Self.mostHeld)
  }

  /// The text that became certain with this id; empty while a character is incomplete.
  public mutating func append(_ id: Int) -> String {
    held.append(id)
    let text = pendingText
    let mustLetGo = held.count >= Self.mostHeld
    guard !text.isEmpty else {
      if mustLetGo { held = [] }
      return ""
    }
    if text.unicodeScalars.last == "\u{FFFD}", !mustLetGo { return "" }
    context = held
    held = []
    return text
  }

  /// The text that is still held back, with U+FFFD for what never became a character.
  public mutating func finish() -> String {
    let text = pendingText
    context = []
    held = []
    return text
  }

  /// What the held ids add to the text of those before them.
  private var pendingText: String {
    let before = Array(decoded(context).utf8)
    let all = Array(decoded(context + held).utf8)
    guard all.starts(with: before) else { return decoded(held) }
    return String(decoding: all[before.count...], as: UTF8.self)
  }

  private func decoded(_ ids: [Int]) -> String {
    tokenizer.decode(ids, skippingSpecialTokens: skippingSpecialTokens)
  }
}
