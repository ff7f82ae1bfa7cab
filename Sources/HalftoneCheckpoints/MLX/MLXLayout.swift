public import HalftoneSchemes
public import HalftoneTensor

/// A quantized layer or embedding as MLX files hold it; see ``Checkpoint/mlxWeight(_:_:)``.
public struct MLXLayout: LayerLayout {
  public let module: String
  public let settings: MLXConfig.Settings
  /// [out, in].
  let shape: [Int]
  /// What scales and offsets become where the mode is affine.
  let type: ElementType

  /// For the layer `module` of `shape`; scales of more columns than MLX has groups of are repeated.
  ///
  /// - Throws: ``SchemeError`` that says why such files cannot hold the layer.
  public init(
    module: String, shape: [Int], scheme: WeightScheme, type: ElementType
  ) throws(SchemeError) {
    self.module = module
    self.shape = shape
    self.type = type
    let width = scheme.columnsPerScale(shape[1])
    if let mode = Self.mode(scheme) {
      settings = MLXConfig.Settings(
        mode: mode, bits: scheme.format.bits, groupSize: mode.defaults.group)
      return
    }
    guard let format = scheme.integers, format.bits != 7, scheme.scales == .float else {
      throw SchemeError(
        "MLX files hold integers of 2, 3, 4, 5, 6 and 8 bits, MXFP4, MXFP8 and NVFP4, not "
          + scheme.grid)
    }
    guard let group = [128, 64, 32].first(where: { width % $0 == 0 && shape[1] % width == 0 })
    else {
      throw SchemeError(
        "MLX files have scales for 32, 64 or 128 columns, which do not divide the \(width) of "
          + "\(scheme.grid)")
    }
    settings = MLXConfig.Settings(mode: .affine, bits: format.bits, groupSize: group)
  }

  /// The mode of a scheme that MLX has one for besides integers.
  private static func mode(_ scheme: WeightScheme) -> MLXConfig.Mode? {
    MLXConfig.Mode.allCases.first { mode in
      let (bits, group) = mode.defaults
      let other = MLXConfig.Settings(mode: mode, bits: bits, groupSize: group)
      return mode != .affine && scheme.format.name == other.format.name
        && scheme.scales == other.scales && scheme.granularity == .group(group)
    }
  }

  private var table: [Int] { [shape[0], shape[1] / settings.groupSize] }

  package var tensors: [TensorDescription] {
    func tensor(_ suffix: String, _ type: StoredType, _ shape: [Int]) -> TensorDescription {
      TensorDescription(name: "\(module).\(suffix)", type: type, shape: shape)
    }
    let words = tensor("weight", .uint32, [shape[0], shape[1] * settings.bits / 32])
    guard settings.mode == .affine else { return [words, tensor("scales", .uint8, table)] }
    let numbers = StoredType(type)
    return [words, tensor("scales", numbers, table), tensor("biases", numbers, table)]
  }

  /// Adds what storing `weight` so loses.
  ///
  /// - Throws: ``SchemeError`` that says why that cannot be.
  public func check(_ weight: QuantizedTensor, _ loss: inout RoundingLoss) throws {
    guard settings.mode == .affine else {
      guard weight.levels.dropFirst().allSatisfy({ $0.scalar == 1 }) else {
        throw SchemeError(
          "MLX files have no scale for a whole matrix beside those of NVFP4's groups")
      }
      return
    }
    let table = try CodeTable(weight, group: settings.groupSize, module: module)
    try loss.add(table.scales, type)
    try loss.add(offsets(table), type)
  }

  /// What is added to code · scale, codes counted from 0: −zero · scale.
  private func offsets(_ table: CodeTable) -> Tensor {
    let middle = Double(1 << (settings.bits - 1))
    return Tensor(
      zip(table.scales.values, table.zeros.values).map {
        Float(-(Double($1) + middle) * Double($0))
      },
      shape: table.scales.shape)
  }

  package func encode(
    _ weight: QuantizedTensor, _ write: (String, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    func put(_ suffix: String, _ tensor: Tensor) throws {
      try tensor.withBytes { try write("\(module).\(suffix)", $0) }
    }
    let low = PackedCodes.low(of: weight.format)
    try put("weight", PackedCodes.pack(weight.codes, bits: settings.bits, low: low))
    if let bytes = settings.scales.bytes(weight.levels[0]) {
      return try bytes.withUnsafeBytes { try write("\(module).scales", $0) }
    }
    let table = try CodeTable(weight, group: settings.groupSize, module: module)
    try put("scales", table.scales.converted(to: type))
    try put("biases", offsets(table).converted(to: type))
  }
}

extension MLXConfig {
  /// The `quantization` of layers stored so, those unlike the first by name.
  public static func configuration(_ layers: [MLXLayout]) -> JSONValue {
    let base = layers.first?.settings ?? Settings(mode: .affine, bits: 4, groupSize: 64)
    var result = fields(base)
    for layer in layers where layer.settings != base {
      result[layer.module] = .object(fields(layer.settings))
    }
    return .object(result)
  }

  private static func fields(_ settings: Settings) -> JSONObject {
    var result = JSONObject()
    result["group_size"] = .number(JSONNumber(settings.groupSize))
    result["bits"] = .number(JSONNumber(settings.bits))
    result["mode"] = .string(settings.mode.rawValue)
    return result
  }
}
