public import HalftoneTokenizers

/// Turns generated ids into text as they come, and says where a stop string ends it.
public struct TextStream: Sendable {
  private var decoder: StreamingDecoder
  private var stops: StopStrings

  /// A stream of what follows the ids `prompt`, up to the first of `stop`.
  ///
  /// - Throws: ``GenerationError`` if a stop string is empty.
  public init(
    _ tokenizer: any Tokenizer, after prompt: [Int] = [], stop: [String] = []
  ) throws(GenerationError) {
    decoder = StreamingDecoder(tokenizer, after: prompt)
    stops = try StopStrings(stop)
  }

  /// Whether a stop string was found; no text comes after it.
  public var isStopped: Bool { stops.isFound }

  /// The text that became certain with this id; empty while it may be part of a character or the
  /// beginning of a stop string.
  public mutating func append(_ id: Int) -> String { stops.append(decoder.append(id)) }

  /// The text that is still held back.
  public mutating func finish() -> String {
    let last = stops.append(decoder.finish())
    return last + stops.finish()
  }
}
