/// What one recipe gave, over all seeds.
public struct ComparisonRow: Codable, Equatable, Sendable {
  /// Its name or file, as given.
  public var recipe: String
  /// What tables call it.
  public var label: String
  /// Why it came to no end; nil if it did.
  public var failure: String?
  /// Whether two seeds gave the same model, so that no more of them were run.
  public var isSeedIndependent: Bool
  public var bitsPerWeight: Double?
  public var bytes: Int?
  public var layerError: Double?
  public var blockError: Double?
  public var perplexity: Spread?
  public var kl: Spread?
  public var top1Agreement: Double?
  /// The mean of the seeds.
  public var seconds: Double?
  /// The largest of the seeds.
  public var peakBytes: Int?
  /// One a seed.
  public var runs: [ComparisonRun]

  public init(
    recipe: String, label: String, runs: [ComparisonRun], isSeedIndependent: Bool = false,
    failure: String? = nil
  ) {
    self.recipe = recipe
    self.label = label
    self.failure = failure
    self.isSeedIndependent = isSeedIndependent
    self.runs = runs
    guard failure == nil else { return }
    bitsPerWeight = Spread(runs.map(\.bitsPerWeight))?.mean
    bytes = runs.map(\.bytes).max()
    layerError = Spread(runs.map(\.layerError))?.mean
    blockError = Spread(runs.compactMap(\.blockError))?.mean
    perplexity = Spread(runs.map(\.predictions.perplexity))
    kl = Spread(runs.map(\.predictions.klMean))
    top1Agreement = Spread(runs.map(\.predictions.top1Agreement))?.mean
    seconds = Spread(runs.map(\.seconds))?.mean
    peakBytes = runs.map(\.peakBytes).max()
  }

  enum CodingKeys: String, CodingKey {
    case recipe, label, failure, bytes, perplexity, kl, seconds, runs
    case isSeedIndependent = "seed_independent"
    case bitsPerWeight = "bits_per_weight"
    case layerError = "layer_error"
    case blockError = "block_error"
    case top1Agreement = "top1_agreement"
    case peakBytes = "peak_bytes"
  }

  /// All keys always, so that readers find null where there is no value.
  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(recipe, forKey: .recipe)
    try fields.encode(label, forKey: .label)
    try fields.encode(failure, forKey: .failure)
    try fields.encode(isSeedIndependent, forKey: .isSeedIndependent)
    try fields.encode(bitsPerWeight, forKey: .bitsPerWeight)
    try fields.encode(bytes, forKey: .bytes)
    try fields.encode(layerError, forKey: .layerError)
    try fields.encode(blockError, forKey: .blockError)
    try fields.encode(perplexity, forKey: .perplexity)
    try fields.encode(kl, forKey: .kl)
    try fields.encode(top1Agreement, forKey: .top1Agreement)
    try fields.encode(seconds, forKey: .seconds)
    try fields.encode(peakBytes, forKey: .peakBytes)
    try fields.encode(runs, forKey: .runs)
  }
}
