import Foundation
public import HalftoneLayers
import HalftoneTensor
public import HalftoneTokenizers

/// Which part of a text is measured, and in how much memory.
public struct PerplexityOptions: Sendable, Equatable {
  /// Tokens per window; each predicts all but its first.
  public var context: Int
  /// Only the first so many windows; nil for all.
  public var windows: Int?
  /// The memory for the activations between two blocks.
  public var activationBytes: Int

  public init(context: Int, windows: Int? = nil, activationBytes: Int = 256 << 20) {
    self.context = context
    self.windows = windows
    self.activationBytes = activationBytes
  }
}

/// How well a model predicts a text.
public struct PerplexityResult: Sendable, Equatable {
  /// The predicted tokens.
  public let tokens: Int
  public let windows: Int
  /// The mean −ln p of a predicted token.
  public let negativeLogLikelihood: Double
  /// exp of it.
  public let perplexity: Double
  /// Of the perplexity: perplexity · s/√windows, with s the standard deviation of the windows' mean
  /// negative log-likelihoods; nil for one window.
  public let standardError: Double?
  /// Against the reference model, if one was given.
  public let reference: ReferenceComparison?
}

/// Perplexity by the field's WikiText-2 convention: the text is encoded once as a whole, cut into
/// windows of `context` tokens, the remainder dropped; each window predicts its tokens but the
/// first, and the result is exp of the mean negative log-likelihood.
public enum Perplexity {
  /// Measures `model` on the first windows of `ids`, the tokens of a whole text.
  ///
  /// `progress` is called with the share done, 0 to 1, and may throw to stop.
  ///
  /// - Throws: ``EvaluationError`` if the text is shorter than one window, if the options or the
  ///   two models do not fit, or if a logit is not a number; what the models throw.
  public static func evaluate(
    _ model: MeasuredModel, ids: [Int], options: PerplexityOptions,
    reference: MeasuredModel? = nil, progress: (Double) throws -> Void = { _ in }
  ) throws -> PerplexityResult {
    let windows = try count(ids, options)
    try check(model, reference, options)
    let run = PerplexityRun(
      model: model, reference: reference, ids: ids, context: options.context, windows: windows)
    return try run.result(activationBytes: options.activationBytes, progress: progress)
  }

  /// The same for the float definition of `model`.
  public static func evaluate(
    _ model: any LanguageModel, ids: [Int], options: PerplexityOptions,
    reference: (any LanguageModel)? = nil, progress: (Double) throws -> Void = { _ in }
  ) throws -> PerplexityResult {
    try evaluate(
      .definition(model), ids: ids, options: options,
      reference: reference.map { .definition($0) }, progress: progress)
  }

  /// Bits per byte: the bits it takes to encode the predicted tokens, by the bytes of the text that
  /// the measured windows cover, their first tokens included.
  public static func bitsPerByte(
    _ result: PerplexityResult, ids: [Int], options: PerplexityOptions, tokenizer: any Tokenizer
  ) -> Double {
    let covered = Array(ids.prefix(result.windows * options.context))
    let bytes = tokenizer.decode(covered, skippingSpecialTokens: true).utf8.count
    let bits = result.negativeLogLikelihood * Double(result.tokens) / log(2)
    return bits / Double(max(1, bytes))
  }

  /// The number of windows to measure.
  private static func count(
    _ ids: [Int], _ options: PerplexityOptions
  ) throws(EvaluationError) -> Int {
    guard options.context >= 2 else {
      throw EvaluationError(
        "a context of \(options.context) tokens predicts nothing; use 2 or more")
    }
    if let windows = options.windows, windows < 1 {
      throw EvaluationError("\(windows) windows to measure must be at least 1")
    }
    let available = ids.count / options.context
    guard available > 0 else {
      throw EvaluationError(
        "the text has \(ids.count) tokens, fewer than one window of \(options.context); give a "
          + "longer text or a smaller context")
    }
    return min(available, options.windows ?? available)
  }

  private static func check(
    _ model: MeasuredModel, _ reference: MeasuredModel?, _ options: PerplexityOptions
  ) throws(EvaluationError) {
    let longest = min(model.contextLength, reference?.contextLength ?? model.contextLength)
    guard options.context <= longest else {
      throw EvaluationError(
        "a context of \(options.context) tokens is longer than the \(longest) the model was made "
          + "for")
    }
    guard let reference else { return }
    guard reference.vocabularySize == model.vocabularySize else {
      throw EvaluationError(
        "the reference has \(reference.vocabularySize) words and the model "
          + "\(model.vocabularySize); they cannot be compared")
    }
  }
}
