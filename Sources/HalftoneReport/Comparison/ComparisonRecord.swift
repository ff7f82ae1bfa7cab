public import Foundation

/// Several recipes on one model, measured alike: what `compare --recipes` prints and stores.
public struct ComparisonRecord: Codable, Equatable, Sendable {
  public var model: String
  /// The texts that were learned from.
  public var calibration: [String]
  /// The text that was predicted.
  public var text: String
  public var context: Int
  /// How many windows of it at most; nil for all.
  public var windows: Int?
  public var seeds: [UInt64]
  public var versions: RunRecord.Versions
  /// The original's; nil if no recipe was measured.
  public var originalPerplexity: Double?
  public var originalBytes: Int?
  /// In the order in which the recipes were given.
  public var rows: [ComparisonRow]
  /// The labels of the rows that no other row beats in size and perplexity, smallest first.
  public var pareto: [String]

  public init(
    model: String, calibration: [String], text: String, context: Int, windows: Int?,
    seeds: [UInt64], versions: RunRecord.Versions, rows: [ComparisonRow]
  ) {
    self.model = model
    self.calibration = calibration
    self.text = text
    self.context = context
    self.windows = windows
    self.seeds = seeds
    self.versions = versions
    self.rows = rows
    let run = rows.lazy.compactMap(\.runs.first).first
    originalPerplexity = run?.predictions.originalPerplexity
    originalBytes = run?.bytesBefore
    let measured = rows.filter { $0.failure == nil }
    let points = measured.map { (Double($0.bytes ?? 0), $0.perplexity?.mean ?? .infinity) }
    pareto = ParetoFront.indices(of: points).map { measured[$0].label }
  }

  enum CodingKeys: String, CodingKey {
    case model, calibration, text, context, windows, seeds, versions, rows, pareto
    case originalPerplexity = "original_perplexity"
    case originalBytes = "original_bytes"
  }

  /// The record as one JSON document, keys sorted.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self) + Data("\n".utf8)
  }
}

/// One recipe with one seed.
public struct ComparisonRun: Codable, Equatable, Sendable {
  public var seed: UInt64
  public var bitsPerWeight: Double
  /// All tensors of the checkpoint before and after.
  public var bytesBefore: Int
  public var bytes: Int
  /// The mean of the layers' relative output errors, and that of plain rounding.
  public var layerError: Double
  public var layerErrorRTN: Double
  /// The mean of the blocks' relative output errors on held-out samples; nil where no text was run.
  public var blockError: Double?
  /// Of the quantization alone.
  public var seconds: Double
  public var peakBytes: Int
  /// How many warnings its report has.
  public var warnings: Int
  /// Hash of the quantized model.
  public var digest: String
  public var predictions: Predictions

  /// How the quantized model predicts a text, beside the original.
  public struct Predictions: Codable, Equatable, Sendable {
    public var tokens: Int
    public var perplexity: Double
    /// Over the windows of the text; nil for one window.
    public var standardError: Double?
    public var originalPerplexity: Double
    /// KL(original‖quantized) of a token, in nats.
    public var klMean: Double
    public var klP99: Double
    public var top1Agreement: Double

    public init(
      tokens: Int, perplexity: Double, standardError: Double?, originalPerplexity: Double,
      klMean: Double, klP99: Double, top1Agreement: Double
    ) {
      self.tokens = tokens
      self.perplexity = perplexity
      self.standardError = standardError
      self.originalPerplexity = originalPerplexity
      self.klMean = klMean
      self.klP99 = klP99
      self.top1Agreement = top1Agreement
    }

    enum CodingKeys: String, CodingKey {
      case tokens, perplexity
      case standardError = "standard_error"
      case originalPerplexity = "original_perplexity"
      case klMean = "kl_mean"
      case klP99 = "kl_p99"
      case top1Agreement = "top1_agreement"
    }
  }

  /// What a run's report says, with a hash of the quantized model.
  public init(_ record: RunRecord, digest: String, predictions: Predictions) {
    seed = record.seed
    bitsPerWeight = record.bitsPerWeight
    bytesBefore = record.bytesBefore
    bytes = record.bytesAfter
    (layerError, layerErrorRTN) = record.meanErrors
    let errors = record.blocks.compactMap(\.outputError)
    blockError = errors.isEmpty ? nil : errors.reduce(0, +) / Double(errors.count)
    seconds = record.seconds
    peakBytes = record.peakBytes
    warnings = record.allWarnings.count
    self.digest = digest
    self.predictions = predictions
  }

  enum CodingKeys: String, CodingKey {
    case seed, bytes, seconds, warnings, digest, predictions
    case bitsPerWeight = "bits_per_weight"
    case bytesBefore = "bytes_before"
    case layerError = "layer_error"
    case layerErrorRTN = "layer_error_rtn"
    case blockError = "block_error"
    case peakBytes = "peak_bytes"
  }
}
