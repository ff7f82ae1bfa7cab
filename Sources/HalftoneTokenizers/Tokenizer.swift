/// Turns text into the ids a model was trained on, and ids back into text.
public protocol Tokenizer: Sendable {
  /// One more than the largest id that stands for a token.
  var vocabularySize: Int { get }

  /// The ids of a text, with what the post-processor adds around them.
  func encode(_ text: String) -> [Int]

  /// The ids of a text, with or without what the post-processor adds around them.
  func encode(_ text: String, addingSpecialTokens: Bool) -> [Int]

  /// The text of a list of ids; ids that stand for nothing are left out.
  func decode(_ ids: [Int], skippingSpecialTokens: Bool) -> String

  /// The token of an id as the vocabulary spells it, or nil.
  func token(for id: Int) -> String?

  /// The id of a token spelled as in the vocabulary, compared scalar by scalar, or nil.
  func id(for token: String) -> Int?

  /// The id that begins a text, if the files name one.
  var beginningOfText: Int? { get }

  /// The id that ends a text, if the files name one.
  var endOfText: Int? { get }
}

extension Tokenizer {
  public func encode(_ text: String) -> [Int] {
    encode(text, addingSpecialTokens: true)
  }

  /// The ids of bytes that may not be UTF-8: each invalid part counts as one U+FFFD.
  public func encode(bytes: [UInt8], addingSpecialTokens: Bool = true) -> [Int] {
    encode(String(decoding: bytes, as: UTF8.self), addingSpecialTokens: addingSpecialTokens)
  }
}
