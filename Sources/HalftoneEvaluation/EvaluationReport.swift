import Foundation

/// The document that `evaluate --json` prints; its keys are a contract.
public struct EvaluationReport: Sendable, Equatable, Codable {
  public var model: String
  /// The text file; nil, with the values up to `standardError`, if only tasks were measured.
  public var text: String?
  public var context: Int?
  /// The predicted tokens.
  public var tokens: Int?
  /// The mean −ln p of a predicted token.
  public var negativeLogLikelihood: Double?
  public var perplexity: Double?
  public var bitsPerByte: Double?
  /// Of the perplexity; nil for one window.
  public var standardError: Double?
  public var reference: ReferenceComparison?
  public var tasks: [TaskResult]
  public var seconds: Double
  public var peakBytes: Int

  private enum CodingKeys: String, CodingKey {
    case model, text, context, tokens
    case negativeLogLikelihood = "negative_log_likelihood"
    case perplexity
    case bitsPerByte = "bits_per_byte"
    case standardError = "standard_error"
    case reference, tasks, seconds
    case peakBytes = "peak_bytes"
  }

  public init(model: String, tasks: [TaskResult] = [], seconds: Double, peakBytes: Int) {
    self.model = model
    self.tasks = tasks
    self.seconds = seconds
    self.peakBytes = peakBytes
  }

  /// Takes over what was measured on `text`.
  public mutating func add(
    _ result: PerplexityResult, text: String, context: Int, bitsPerByte: Double?
  ) {
    self.text = text
    self.context = context
    tokens = result.tokens
    negativeLogLikelihood = result.negativeLogLikelihood
    perplexity = result.perplexity
    self.bitsPerByte = bitsPerByte
    standardError = result.standardError
    reference = result.reference
  }
}
