import HalftoneSchemes
import HalftoneTensor

/// The tensors that stand for one quantized linear layer in a compressed-tensors checkpoint.
struct ModuleLayout {
  let module: String
  let weights: WeightScheme
  let inputs: InputScheme?
  /// [out, in] of the dense weight.
  let shape: [Int]
  let isPacked: Bool
  let scaleType: ElementType
  /// What packed codes are called.
  let codesName: String
  private let table: [Int]

  init(
    module: String, weights: WeightScheme, inputs: InputScheme?, shape: [Int], isPacked: Bool,
    scaleType: ElementType, codesName: String
  ) throws(SchemeError) {
    guard shape.count == 2 else {
      throw SchemeError("\(module): a weight of shape \(shape) is not a matrix")
    }
    switch weights.granularity {
    case .tensor, .channel, .group: break
    case .token, .block:
      throw SchemeError("\(module): weights per \(weights.granularity) cannot be stored")
    }
    let table = try weights.granularity.tableShape(rows: shape[0], columns: shape[1])
    self.table = [table.rows, table.columns]
    self.module = module
    self.weights = weights
    self.inputs = inputs
    self.shape = shape
    self.isPacked = isPacked
    self.scaleType = scaleType
    self.codesName = codesName
  }

  /// As the library names it.
  var format: String {
    if isPacked { return "pack-quantized" }
    guard let floats else { return "int-quantized" }
    return inputs == nil ? floats.name : floats.nameWithInputs
  }

  /// Where the library has a layout of its own for such floats, and the codes are not packed as in
  /// ``CompressedTensorsConfig/Method/halftone``.
  var floats: FloatLayout? { isPacked ? nil : FloatLayout(weights, inputs) }

  private var bits: Int { weights.format.bits }
  private var low: Int { PackedCodes.low(of: weights.format) }
  private var isPerTensor: Bool { weights.granularity == .tensor }
  /// Zero points are packed down the columns; the one of a tensor is stored as it is.
  private var packsZeros: Bool { isPacked && !isPerTensor }
  private var hasGlobalInputScale: Bool { inputs?.scales == .e4m3 }
  private var isFixed: Bool { inputs.map { !$0.dynamic } ?? false }

  /// Whether compressed-tensors has a place for weights and inputs of these schemes.
  static func isShared(_ weights: WeightScheme, _ inputs: InputScheme?) -> Bool {
    let sharesInputs = inputs.map {
      $0.outlierThreshold == nil
        && ($0.format is IntegerFormat || $0.format.name == FloatFormat.e4m3fn.name
          || $0.scales != .float)
    }
    guard sharesInputs ?? true else { return false }
    return weights.integers != nil && weights.scales == .float
      && (inputs?.scales ?? .float) == .float
      || FloatLayout(weights, inputs) != nil
  }

  /// What the checkpoint will hold, known before the layer is quantized.
  var tensors: [TensorDescription] {
    var result: [TensorDescription] = []
    func add(_ suffix: String, _ type: StoredType, _ shape: [Int]) {
      result.append(TensorDescription(name: "\(module).\(suffix)", type: type, shape: shape))
    }
    if isPacked {
      add(codesName, .int32, [shape[0], PackedCodes.denseWords(shape[1], bits: bits)])
      add("weight_shape", .int64, [2])
    } else if floats?.isStream ?? false {
      add("weight_packed", .uint8, [shape[0], shape[1] * bits / 8])
    } else {
      add("weight", weights.integers == nil ? .float8e4m3 : .int8, shape)
    }
    let scales = weights.scales.storedType ?? StoredType(scaleType)
    add("weight_scale", scales, isPerTensor ? [1] : table)
    if weights.scales == .e4m3 { add("weight_global_scale", .float32, [1]) }
    if weights.scales.hasRowUnits { add("weight_row_scale", .float32, [table[0], 1]) }
    if weights.scales.dyadicBits != nil {
      add("weight_scale_shift", .uint8, isPerTensor ? [1] : table)
    }
    if weights.scales == .nested {
      let units = (table[0] * table[1] + NestedScales.run - 1) / NestedScales.run
      add("weight_scale_unit", .float32, [units])
      add("weight_scale_mean", .float32, [1])
    }
    if !weights.symmetric {
      if packsZeros {
        let words = PackedCodes.denseWords(table[0], bits: bits)
        add("weight_zero_point", .int32, [words, table[1]])
      } else {
        add("weight_zero_point", .int8, isPerTensor ? [1] : table)
      }
    }
    if hasGlobalInputScale { add("input_global_scale", .float32, [1]) }
    if isFixed {
      add("input_scale", StoredType(scaleType), [1])
      if inputs?.symmetric == false { add("input_zero_point", .int8, [1]) }
    }
    return result
  }

  /// Hands the bytes of every tensor in ``tensors`` to `write`.
  func encode(
    _ weight: QuantizedTensor, inputs range: (scale: Float, zeroPoint: Float)?,
    _ write: (String, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    try check(weight)
    func put(_ suffix: String, _ tensor: Tensor) throws {
      try tensor.withBytes { try write("\(module).\(suffix)", $0) }
    }
    if isPacked {
      try put(codesName, PackedCodes.pack(weight.format.stored(weight.codes), bits: bits, low: low))
      try shape.map { Int64($0) }.withUnsafeBytes { try write("\(module).weight_shape", $0) }
    } else if floats?.isStream ?? false {
      // Groups make rows of whole words, so that the stream has no gaps.
      try put("weight_packed", PackedCodes.pack(weight.codes, bits: bits, low: low))
    } else {
      try put("weight", weight.codes)
    }
    try encodeScales(weight, put)
    if !weights.symmetric {
      let zeros = (weight.zeroPoints ?? Tensor(repeating: 0, shape: table)).converted(to: .int8)
      try put(
        "weight_zero_point",
        packsZeros
          ? PackedCodes.transposed(
            PackedCodes.pack(PackedCodes.transposed(zeros), bits: bits, low: low))
          : zeros)
    }
    if hasGlobalInputScale {
      guard let range, range.scale > 0, range.scale.isFinite else {
        throw mismatch("the scale beside those of its inputs' groups was not given")
      }
      try put("input_global_scale", Tensor([range.scale]))
    }
    guard isFixed else { return }
    guard let range, range.scale > 0, range.scale.isFinite else {
      throw mismatch("its inputs' range is fixed by calibration, but no scale above 0 was given")
    }
    try put("input_scale", try stored(Tensor([range.scale])))
    if inputs?.symmetric == false {
      try put("input_zero_point", Tensor([range.zeroPoint]).converted(to: .int8))
    }
  }

  private func encodeScales(
    _ weight: QuantizedTensor, _ put: (String, Tensor) throws -> Void
  ) throws {
    let (scales, format) = (weight.levels[0], weights.scales)
    func bytes(_ bytes: [UInt8]) -> Tensor {
      Tensor(shape: [bytes.count], elementType: .uint8) { $0.copyBytes(from: bytes) }
    }
    if let nested = weight.nested {
      try put("weight_scale", nested.codeTensor)
      try put("weight_scale_unit", Tensor(nested.units))
      try put("weight_scale_mean", Tensor([nested.mean]))
      return
    }
    if let stored = format.bytes(scales) {
      try put("weight_scale", bytes(stored))
    } else {
      try put("weight_scale", try stored(scales))
    }
    if format.dyadicBits != nil {
      let shifts = scales.values.map { UInt8(clamping: format.dyadic($0).shift) }
      try put("weight_scale_shift", bytes(shifts))
    }
    if format == .e4m3 {
      // What the codes' values are divided by.
      let unit = weight.levels.count > 1 ? weight.levels[1].scalar : 1
      try put("weight_global_scale", Tensor([1 / unit]))
    }
    if format.hasRowUnits { try put("weight_row_scale", weight.levels[1]) }
  }

  private func mismatch(_ problem: String) -> CheckpointError {
    CheckpointError(.malformed, "\(module) cannot be written as compressed-tensors: \(problem)")
  }

  private func check(_ weight: QuantizedTensor) throws(CheckpointError) {
    // A matrix whose one scale beside the others is 1 has them alone.
    let levels = weights.scales == .e4m3 ? 1...2 : weights.scales.hasRowUnits ? 2...2 : 1...1
    guard levels.contains(weight.levels.count) else {
      throw mismatch("it has \(weight.levels.count) levels of scales")
    }
    guard (weight.nested != nil) == (weights.scales == .nested) else {
      throw mismatch("its scales are not as scales: \(weights.scales.rawValue) has them")
    }
    if let bits = weights.scales.dyadicBits {
      let isDyadic = weight.levels[0].values.allSatisfy {
        $0 > 0 && $0.isFinite && Float(Dyadic(nearest: Double($0), bits: bits).value) == $0
      }
      guard isDyadic else { throw mismatch("its scales are no fractions b/2^c of \(bits) bits") }
    }
    guard weight.shape == shape, weight.levels[0].shape == table,
      weight.format.name == weights.format.name
    else {
      throw mismatch(
        "\(weight.format.name) \(weight.shape) with scales \(weight.levels[0].shape) is not "
          + "\(weights) \(shape)")
    }
    if weights.symmetric, weight.zeroPoints?.values.contains(where: { $0 != 0 }) == true {
      throw mismatch("a symmetric scheme has no zero points")
    }
    let (low, high) = weights.format.extent
    let zerosFit = weight.zeroPoints?.values.allSatisfy {
      $0 >= low && $0 <= high && $0 == $0.rounded()
    }
    guard zerosFit ?? true else {
      throw mismatch("zero points must be whole numbers in \(low)...\(high)")
    }
    guard weight.levels[0].values.allSatisfy(\.isFinite) else {
      throw mismatch("a scale is NaN or infinite; check the weights and the calibration text")
    }
  }

  /// Scales in the type of the file; never rounded on the way, since that would change the weights.
  private func stored(_ scales: Tensor) throws -> Tensor {
    let result = scales.converted(to: scaleType)
    guard scaleType == .float32 || result.float().values == scales.values else {
      throw mismatch("scales are not \(scaleType.rawValue) numbers; round them when quantizing")
    }
    return result
  }
}
