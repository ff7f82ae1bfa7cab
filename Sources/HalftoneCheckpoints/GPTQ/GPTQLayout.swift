public import HalftoneSchemes
import HalftoneTensor

/// A quantized layer as GPTQ files hold it; see ``Checkpoint/gptqWeight(_:_:)`` for the tensors.
public struct GPTQLayout: LayerLayout {
  public let module: String
  public private(set) var settings: GPTQConfig.Settings
  public let version: GPTQConfig.Version
  /// [out, in].
  let shape: [Int]
  /// Where the columns of the weights that are encoded are in the file; nil where they stand as they are.
  let order: ColumnGroups?

  /// For the layer `module` of `shape`, in groups of as many columns as share a scale.
  ///
  /// With an `order` the weights that are encoded have the columns of a group side by side, as
  /// ``Checkpoint/reorderedWeight(_:)`` gives them.
  ///
  /// - Throws: ``SchemeError`` that says why such files cannot hold the layer.
  public init(
    module: String, shape: [Int], scheme: WeightScheme, version: GPTQConfig.Version,
    order: ColumnGroups? = nil
  ) throws(SchemeError) {
    guard let format = scheme.integers, [2, 3, 4, 8].contains(format.bits), scheme.scales == .float
    else {
      throw SchemeError("GPTQ files hold integers of 2, 3, 4 and 8 bits, not \(scheme.grid)")
    }
    guard shape.allSatisfy({ $0 % 32 == 0 }) else {
      throw SchemeError(
        "GPTQ files hold matrices of whole words, 32 rows and columns, not \(shape)")
    }
    var group: Int?
    switch scheme.granularity {
    case .tensor, .channel: group = nil
    case .group(let size): group = size < shape[1] ? size : nil
    case .token, .block: throw SchemeError("GPTQ files have no scales \(scheme.granularity)")
    }
    self.module = module
    self.shape = shape
    self.version = version
    self.order = order
    settings = GPTQConfig.Settings(bits: format.bits, groupSize: group, symmetric: scheme.symmetric)
  }

  /// The same tensors, said to have zero points of their own.
  public func asymmetric() -> GPTQLayout {
    var result = self
    result.settings.symmetric = false
    return result
  }

  private var group: Int { settings.groupSize ?? shape[1] }
  private var groups: Int { shape[1] / group }

  package var tensors: [TensorDescription] {
    let bits = settings.bits
    func tensor(_ suffix: String, _ type: StoredType, _ shape: [Int]) -> TensorDescription {
      TensorDescription(name: "\(module).\(suffix)", type: type, shape: shape)
    }
    return [
      tensor("g_idx", .int32, [shape[1]]),
      tensor("qweight", .int32, [shape[1] * bits / 32, shape[0]]),
      tensor("qzeros", .int32, [groups, shape[0] * bits / 32]),
      tensor("scales", .float16, [groups, shape[0]]),
    ]
  }

  /// Adds what storing `weight` so loses.
  ///
  /// - Throws: ``SchemeError`` that says why that cannot be.
  public func check(_ weight: QuantizedTensor, _ loss: inout RoundingLoss) throws(SchemeError) {
    try loss.add(weight.levels[0], .float16)
    let middle = 1 << (settings.bits - 1)
    guard let zeros = weight.zeroPoints else { return }
    // Version 1 stores one less, of which a zero point of 0 would leave nothing.
    let lowest = Float(version == .one ? 1 - middle : -middle)
    for zero in zeros.values
    where !(zero >= lowest && zero < Float(middle) && zero == zero.rounded()) {
      throw SchemeError(
        "the zero point \(zero + Float(middle)) is no whole number of \(Int(lowest) + middle) to "
          + "\(2 * middle - 1)"
          + (version == .one && zero == -Float(middle) ? "; gptq-v2 holds it" : ""))
    }
  }

  package func encode(
    _ weight: QuantizedTensor, _ write: (String, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let table = try CodeTable(weight, group: group, module: module)
    let (bits, middle) = (settings.bits, 1 << (settings.bits - 1))
    func put(_ suffix: String, _ tensor: Tensor) throws {
      try tensor.withBytes { try write("\(module).\(suffix)", $0) }
    }
    let groups = order?.groups ?? (0..<shape[1]).map { $0 / group }
    try groups.map { Int32($0) }.withUnsafeBytes { try write("\(module).g_idx", $0) }
    let codes = order?.scattered(table.codes) ?? table.codes
    let words = PackedCodes.pack(codes, bits: bits, low: -middle)
    try put("qweight", PackedCodes.transposed(words))
    let lessOneByCode = version == .one && bits == 3
    let zeros = PackedCodes.transposed(table.zeros).values.map { lessOneByCode ? $0 - 1 : $0 }
    let packed = PackedCodes.pack(
      Tensor(zeros, shape: [self.groups, shape[0]]).converted(to: .int8), bits: bits, low: -middle)
    try put("qzeros", version == .one ? GPTQZeros.reduced(packed, bits: bits) : packed)
    try put("scales", PackedCodes.transposed(table.scales).converted(to: .float16))
  }
}

extension GPTQConfig {
  /// The `quantization_config` of layers stored so; `dense` are linear layers that stay as they are.
  public static func configuration(_ layers: [GPTQLayout], dense: [String]) -> JSONValue {
    let base = layers.first?.settings ?? Settings(bits: 4, groupSize: 128, symmetric: true)
    var dynamic = JSONObject()
    for layer in layers where layer.settings != base {
      dynamic["+:^" + escaped(layer.module) + "$"] = .object(fields(layer.settings))
    }
    for module in dense where module != "lm_head" {
      dynamic["-:^" + escaped(module) + "$"] = [:]
    }
    var result = fields(base)
    result["desc_act"] = .bool(layers.contains { $0.order != nil })
    result["lm_head"] = .bool(layers.contains { $0.module == "lm_head" })
    result["quant_method"] = "gptq"
    result["checkpoint_format"] = layers.first?.version == .two ? "gptq_v2" : "gptq"
    result["pack_dtype"] = "int32"
    if dynamic.count > 0 { result["dynamic"] = .object(dynamic) }
    result["meta"] = ["quantizer": ["halftone"]]
    return .object(result)
  }

  private static func fields(_ settings: Settings) -> JSONObject {
    var result = JSONObject()
    result["bits"] = .number(JSONNumber(settings.bits))
    result["group_size"] = .number(JSONNumber(settings.groupSize ?? -1))
    result["sym"] = .bool(settings.symmetric)
    return result
  }

  static func escaped(_ module: String) -> String {
    module.split(separator: ".", omittingEmptySubsequences: false).joined(separator: "\\.")
  }
}
