/// How the next token is chosen from its logits.
///
/// What is set applies in the order of the members: repetition penalty, temperature, top-k, top-p,
/// min-p.
public struct SamplingOptions: Sendable, Equatable {
  /// Divides the positive logits of tokens that occurred and multiplies the negative ones; 1 leaves
  /// them as they are.
  public var repetitionPenalty: Double
  /// How many of the latest tokens, the prompt's among them, the penalty looks at; nil for all.
  public var repetitionWindow: Int?
  /// Logits are divided by it before the softmax; 0 takes the largest logit always.
  public var temperature: Double
  /// Only the k likeliest tokens are drawn from; nil for all.
  public var topK: Int?
  /// Only the likeliest tokens that together reach this probability are drawn from; nil for all.
  public var topP: Double?
  /// Only tokens at least this share as likely as the likeliest are drawn; nil for all.
  public var minP: Double?
  public var seed: UInt64

  public init(
    temperature: Double = 0, topK: Int? = nil, topP: Double? = nil, minP: Double? = nil,
    repetitionPenalty: Double = 1, repetitionWindow: Int? = nil, seed: UInt64 = 0
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.repetitionPenalty = repetitionPenalty
    self.repetitionWindow = repetitionWindow
    self.seed = seed
  }

  /// The largest logit always.
  public static let greedy = SamplingOptions()

  /// Checks that every option makes sense.
  ///
  /// - Throws: ``GenerationError`` naming the one that does not.
  public func validate() throws(GenerationError) {
    guard temperature >= 0, temperature.isFinite else {
      throw GenerationError("temperature \(temperature) must be a number from 0 on")
    }
    if let topK, topK < 1 { throw GenerationError("top-k \(topK) must be at least 1") }
    if let topP, !(topP > 0 && topP <= 1) {
      throw GenerationError("top-p \(topP) must be above 0 and at most 1")
    }
    if let minP, !(minP >= 0 && minP <= 1) {
      throw GenerationError("min-p \(minP) must be 0 to 1")
    }
    guard (0.01...100).contains(repetitionPenalty) else {
      throw GenerationError("repetition penalty \(repetitionPenalty) must be 0.01 to 100")
    }
    if let repetitionWindow, repetitionWindow < 0 {
      throw GenerationError("repetition window \(repetitionWindow) must be at least 0")
    }
  }
}
