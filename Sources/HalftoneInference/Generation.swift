/// What to generate.
public struct GenerationOptions: Sendable, Equatable {
  /// The most tokens to add to the prompt.
  public var tokens: Int
  public var sampling: SamplingOptions
  /// Tokens that end the text and are not part of it; nil for those the model names.
  public var stop: Set<Int>?

  public init(tokens: Int, sampling: SamplingOptions = .greedy, stop: Set<Int>? = nil) {
    self.tokens = tokens
    self.sampling = sampling
    self.stop = stop
  }
}

/// What was generated, and how fast.
public struct Generation: Sendable {
  /// Why generation ended.
  public enum Finish: String, Sendable, Codable {
    case endOfText
    case tokenLimit
    case stopString
  }

  /// The new tokens, without the prompt and without the one that ended the text.
  public let ids: [Int]
  public let finish: Finish
  public let promptCount: Int
  /// Until the logits after the prompt were there.
  public let prefillSeconds: Double
  /// From then on.
  public let decodeSeconds: Double
  /// The tokens that were run through the model one at a time.
  public let decodedCount: Int
}
