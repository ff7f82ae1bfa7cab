/// A plan as the document that `plan --json` prints.
public struct PlanDocument: Codable, Equatable, Sendable {
  public var model: String
  public var recipe: String
  public var methods: [String]
  public var samples: Int?
  public var length: Int?
  public var bitsPerWeight: Double
  public var bytesBefore: Int
  public var bytesAfter: Int
  /// Expected.
  public var peakBytes: Int
  /// Expected.
  public var seconds: Double
  public var warnings: [String]
  public var layers: [Layer]
  /// How keys and values are quantized; nil where they are not.
  public var cache: String?

  public struct Layer: Codable, Equatable, Sendable {
    public var name: String
    /// Outputs and inputs.
    public var shape: [Int]
    /// nil where the layer stays as it is.
    public var scheme: String?
    public var bytesBefore: Int
    public var bytesAfter: Int
    public var bitsPerWeight: Double

    enum CodingKeys: String, CodingKey {
      case name, shape, scheme
      case bytesBefore = "bytes_before"
      case bytesAfter = "bytes_after"
      case bitsPerWeight = "bits_per_weight"
    }
  }

  enum CodingKeys: String, CodingKey {
    case model, recipe, methods, samples, length, seconds, warnings, layers, cache
    case bitsPerWeight = "bits_per_weight"
    case bytesBefore = "bytes_before"
    case bytesAfter = "bytes_after"
    case peakBytes = "peak_bytes"
  }

  public init(_ plan: Plan, withCalibration: Bool) {
    model = plan.model.source
    recipe = plan.recipe.source
    methods = plan.recipe.steps.map(\.name)
    samples = withCalibration ? plan.calibration.samples : nil
    length = withCalibration ? plan.calibration.length : nil
    bitsPerWeight = plan.bitsPerWeight
    bytesBefore = plan.bytesBefore
    bytesAfter = plan.bytesAfter
    peakBytes = plan.peakBytes(withCalibration: withCalibration)
    seconds = plan.seconds(withCalibration: withCalibration)
    warnings = plan.warnings
    cache = plan.recipe.cache.map { "\($0)" }
    layers = plan.layers.map { layer in
      Layer(
        name: layer.module.name, shape: [layer.module.rows, layer.module.columns],
        scheme: Plan.describe(layer), bytesBefore: layer.module.byteCount,
        bytesAfter: layer.bytesAfter,
        bitsPerWeight: Double(layer.bytesAfter * 8) / Double(max(1, layer.count)))
    }
  }
}
