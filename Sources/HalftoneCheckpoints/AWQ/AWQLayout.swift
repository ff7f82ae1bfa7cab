public import HalftoneSchemes
import HalftoneTensor

/// A quantized layer as AWQ files for GEMM kernels hold it; see ``AWQOrder``.
public struct AWQLayout: LayerLayout {
  public let module: String
  /// [out, in].
  let shape: [Int]
  /// Columns that share a scale in the file; a divisor of those that do in the layer.
  let group: Int

  /// For the layer `module` of `shape` in groups of `group` columns, nil for whole rows.
  ///
  /// - Throws: ``SchemeError`` that says why such files cannot hold the layer.
  public init(
    module: String, shape: [Int], scheme: WeightScheme, group: Int?
  ) throws(SchemeError) {
    guard scheme.integers?.bits == 4, scheme.scales == .float else {
      throw SchemeError("AWQ files hold integers of 4 bits, not \(scheme.grid)")
    }
    guard shape[0] % 8 == 0 else {
      throw SchemeError("AWQ files hold matrices of whole words, 8 rows, not \(shape)")
    }
    let group = group ?? shape[1]
    guard shape[1] % group == 0, scheme.columnsPerScale(shape[1]) % group == 0 else {
      throw SchemeError(
        "groups of \(group), which AWQ files have for all layers at once, do not divide its "
          + "\(scheme.grid) rows of \(shape[1])")
    }
    self.module = module
    self.shape = shape
    self.group = group
  }

  package var tensors: [TensorDescription] {
    func tensor(_ suffix: String, _ type: StoredType, _ shape: [Int]) -> TensorDescription {
      TensorDescription(name: "\(module).\(suffix)", type: type, shape: shape)
    }
    let groups = shape[1] / group
    return [
      tensor("qweight", .int32, [shape[1], shape[0] / 8]),
      tensor("qzeros", .int32, [groups, shape[0] / 8]),
      tensor("scales", .float16, [groups, shape[0]]),
    ]
  }

  /// Adds what storing `weight` so loses.
  ///
  /// - Throws: ``SchemeError`` that says why that cannot be.
  public func check(_ weight: QuantizedTensor, _ loss: inout RoundingLoss) throws(SchemeError) {
    try loss.add(weight.levels[0], .float16)
    for zero in weight.zeroPoints?.values ?? []
    where !(zero >= -8 && zero < 8 && zero == zero.rounded()) {
      throw SchemeError("the zero point \(zero + 8) is no whole number of 0 to 15")
    }
  }

  package func encode(
    _ weight: QuantizedTensor, _ write: (String, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let table = try CodeTable(weight, group: group, module: module)
    func put(_ suffix: String, _ tensor: Tensor) throws {
      try tensor.withBytes { try write("\(module).\(suffix)", $0) }
    }
    try put("qweight", AWQOrder.packed(table.codes))
    try put("qzeros", AWQOrder.packed(table.zeros.converted(to: .int8)))
    try put("scales", PackedCodes.transposed(table.scales).converted(to: .float16))
  }
}

extension AWQConfig {
  /// The `quantization_config` of layers stored in groups of `group` columns, nil for whole rows;
  /// `dense` are linear layers that stay as they are.
  public static func configuration(group: Int?, dense: [String]) -> JSONValue {
    [
      "quant_method": "awq",
      "bits": 4,
      "group_size": .number(JSONNumber(group ?? -1)),
      "zero_point": true,
      "version": "gemm",
      "modules_to_not_convert": dense.isEmpty ? .null : .array(dense.map { .string($0) }),
    ]
  }
}

extension WeightScheme {
  /// How many neighbouring columns of a row of `columns` share a scale.
  public func columnsPerScale(_ columns: Int) -> Int {
    switch granularity {
    case .group(let size): min(size, columns)
    case .block(_, let width): width
    case .tensor, .channel, .token: columns
    }
  }
}
