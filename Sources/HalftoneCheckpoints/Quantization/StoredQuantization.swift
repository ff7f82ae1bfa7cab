public import HalftoneSchemes
import HalftoneTensor

/// Whose layout the quantized layers of a Hugging Face directory have.
public enum StoredQuantization: Sendable {
  case none
  case compressedTensors(CompressedTensorsConfig)
  case gptq(GPTQConfig)
  case awq(AWQConfig)
  case mlx(MLXConfig)

  /// Finds it in the `config.json` of the directory at `path`, or in the files that older tools wrote
  /// beside it.
  ///
  /// - Throws: `CheckpointError.Code.malformed` for other tools' formats and for broken ones.
  init(_ config: JSONValue, path: String) throws(CheckpointError) {
    if let mlx = try MLXConfig(config, path: path) {
      self = .mlx(mlx)
      return
    }
    var place = "\(path)/config.json: quantization_config"
    var settings = config["quantization_config"] ?? .null
    var method = settings["quant_method"]?.string
    for (file, name) in Self.otherFiles where settings.isNull && exists("\(path)/\(file)") {
      try refuseForeignLink("\(path)/\(file)")
      (place, settings) = ("\(path)/\(file)", try readJSON("\(path)/\(file)"))
      method = settings["quant_method"]?.string ?? name
    }
    if settings.isNull {
      self = .none
      return
    }
    guard settings.object != nil else { throw CheckpointError(.malformed, "\(place) is no object") }
    // Only GPTQ orders columns by activations; its older files do not name it.
    switch method ?? (settings["desc_act"] == nil ? nil : "gptq") {
    case "gptq": self = .gptq(try GPTQConfig(settings, place))
    case "awq": self = .awq(try AWQConfig(settings, place))
    default:
      self = try CompressedTensorsConfig(config, path: path).map { .compressedTensors($0) } ?? .none
    }
  }

  /// Where the settings were before they moved into `config.json`, and of which method.
  static let otherFiles = [("quantize_config.json", "gptq"), ("quant_config.json", "awq")]
}

extension Checkpoint {
  /// The suffixes of compressed-tensors, and of Halftone's own format, but for "weight", which dense
  /// layers have too.
  static let compressedSuffixes =
    [
      "weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_global_scale",
      "weight_row_scale", "weight_scale_shift", "weight_scale_unit", "weight_scale_mean",
      "weight_g_idx", "input_scale", "input_zero_point", "input_global_scale",
    ] + LayerAdditions.ownSuffixes

  /// The suffixes of tensors that stand for the weight of one quantized layer, its own bias not among
  /// them.
  func quantizedSuffixes() throws(CheckpointError) -> [String] {
    switch try quantization() {
    case .none: []
    case .compressedTensors: ["weight"] + Self.compressedSuffixes
    case .gptq: ["qweight", "qzeros", "scales", "g_idx"]
    case .awq: ["qweight", "qzeros", "scales"]
    case .mlx: ["weight", "scales", "biases"]
    }
  }

  /// The modules whose weights are stored in codes, sorted.
  public func quantizedModules() throws -> [String] {
    let suffix: String
    switch try quantization() {
    case .none: return []
    case .compressedTensors: suffix = ".weight_scale"
    case .gptq, .awq: suffix = ".qweight"
    case .mlx: suffix = ".scales"
    }
    return try names.filter { $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.count)) }
      .filter { try quantizedShape($0) != nil }
  }

  public func linearWeight(_ module: String) throws -> StoredWeight {
    switch try quantization() {
    case .none, .compressedTensors: try compressedWeight(module)
    case .gptq(let config): try gptqWeight(module, config)
    case .awq(let config): try awqWeight(module, config)
    case .mlx(let config): try mlxWeight(module, config)
    }
  }

  /// How the linear layer `module` is quantized; nil where it is not.
  public func storedScheme(_ module: String) throws(CheckpointError) -> LayerScheme? {
    let weights: WeightScheme?
    switch try quantization() {
    case .none: return nil
    case .compressedTensors: return try compressedScheme(module)
    case .gptq(let config): weights = try gptqScheme(module, config)
    case .awq(let config): weights = try awqScheme(module, config)
    case .mlx(let config): weights = try mlxScheme(module, config)
    }
    return weights.map { LayerScheme(weights: $0) }
  }

  /// The shape [out, in] of the quantized weight of `module`; nil where it is dense or absent.
  ///
  /// Reads no codes.
  public func quantizedShape(_ module: String) throws -> [Int]? {
    switch try quantization() {
    case .none: nil
    case .compressedTensors: try compressedShape(module)
    case .gptq(let config): try gptqShape(module, config)
    case .awq(let config): try awqShape(module, config)
    case .mlx(let config): try mlxShape(module, config)
    }
  }

  /// The scales or offsets `name`, which must be so many finite floats, none of them 0 unless allowed.
  func gridNumbers(_ name: String, _ shape: [Int], allowsZero: Bool = false) throws -> Tensor {
    let stored = try description(of: name)
    guard [.float32, .float16, .bfloat16].contains(stored.type), stored.shape == shape else {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) is \(stored.type.rawValue) \(stored.shape), but the codes beside it need "
          + "floats \(shape); the configuration or the file is another model's")
    }
    try checkFinite(name)
    let values = try tensor(name).float()
    if !allowsZero, let place = values.withElements({ $0.firstIndex(of: 0) }) {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) is 0 at [\(place / shape[1]), \(place % shape[1])], and no scale can be; "
          + "quantize the original model again")
    }
    return values
  }

  /// The shape of the matrix of words `name`.
  func wordsShape(_ name: String, _ type: StoredType) throws(CheckpointError) -> [Int] {
    let stored = try description(of: name)
    guard stored.type == type, stored.shape.count == 2, !stored.shape.contains(0) else {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) is \(stored.type.rawValue) \(stored.shape), not a matrix of "
          + "\(type.rawValue) words")
    }
    return stored.shape
  }
}
