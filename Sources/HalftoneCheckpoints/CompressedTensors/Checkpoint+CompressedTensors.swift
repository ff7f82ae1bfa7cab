import HalftoneSchemes
import HalftoneTensor

extension Checkpoint {
  func compressedWeight(_ module: String) throws -> StoredWeight {
    guard let parts = try compressedParts(module) else {
      return .dense(try tensor(module + ".weight"))
    }
    let outliers = try additions(module, parts.codes.shape).outliers
    if let grouped = try grouped(module, parts) {
      guard outliers == nil else {
        throw CheckpointError(
          .malformed,
          "\(path): \(module) has outliers beside groups in activation order; quantize the original "
            + "model again")
      }
      return try grouped.weight()
    }
    return .quantized(
      try QuantizedTensor(
        shape: parts.codes.shape, format: parts.scheme.format, codes: parts.codes,
        levels: parts.scales, zeroPoints: parts.zeros, outliers: outliers, nested: parts.nested))
  }

  /// The codes of a layer whose groups are in activation order; nil for any other.
  func compressedCodes(_ module: String) throws -> GroupedCodes? {
    try compressedParts(module).flatMap { try grouped(module, $0) }
  }

  private struct Parts {
    let scheme: WeightScheme
    let codes: Tensor
    let scales: [Tensor]
    let nested: NestedScales?
    let zeros: Tensor?
  }

  /// nil where the layer is dense.
  private func compressedParts(_ module: String) throws -> Parts? {
    let stored = module + ".weight"
    let isPacked = try packedName(module) != nil
    let bytes = try !isPacked && contains(stored) ? storedType(of: stored) : nil
    let holdsCodes = bytes == .int8 || bytes == .float8e4m3
    guard isPacked || holdsCodes else { return nil }
    guard let arguments = try quantizationConfig()?.group(of: module)?.weights else {
      throw CheckpointError(
        .malformed,
        "\(path): \(module) holds quantized codes, but quantization_config says nothing of it")
    }
    let scheme = try arguments.weightScheme("\(path): \(module)")
    let (codes, layout) =
      try isPacked
      ? packedCodes(module, scheme.format)
      : (byteCodes(stored, scheme.format), .dense)
    let (scales, nested) = try storedScales(module, scheme, codes.shape)
    let zeros = try zeroPoints(module, scheme.format.bits, scales[0].shape, layout)
    guard zeros == nil || scheme.integers != nil else {
      throw CheckpointError(
        .malformed,
        "\(path): \(module) has zero points beside floats; write the checkpoint again without them")
    }
    return Parts(scheme: scheme, codes: codes, scales: scales, nested: nested, zeros: zeros)
  }

  private func grouped(_ module: String, _ parts: Parts) throws -> GroupedCodes? {
    guard case .group = parts.scheme.granularity, contains(module + ".weight_g_idx") else {
      return nil
    }
    let order = try groupOrder(
      module + ".weight_g_idx", columns: parts.codes.columns, groups: parts.scales[0].columns)
    guard let order else { return nil }
    guard let format = parts.scheme.integers, parts.scales.count == 1, parts.nested == nil else {
      throw CheckpointError(
        .malformed,
        "\(path): \(module).weight_g_idx: groups in activation order are read for integers only; "
          + "quantize the original model without it")
    }
    return GroupedCodes(
      format: format, codes: parts.codes, scales: parts.scales[0], zeros: parts.zeros, order: order)
  }

  public func storedInputScheme(_ module: String) throws -> StoredInputs? {
    let place = "\(path): \(module): input_activations"
    guard let arguments = try quantizationConfig()?.group(of: module)?.inputs else { return nil }
    let scheme = try arguments.inputScheme(place)
    if case .group(let size) = scheme.granularity {
      return .groups(scheme, global: try globalInputScale(module, scheme, size, place))
    }
    if scheme.dynamic { return .dynamic(scheme) }
    guard let scale = try number(module + ".input_scale"), scale.isFinite, scale > 0 else {
      throw CheckpointError(.malformed, "\(place): input_scale is missing or not above 0")
    }
    let zero = try number(module + ".input_zero_point") ?? 0
    guard zero == 0 || scheme.format is IntegerFormat else {
      throw CheckpointError(
        .malformed,
        "\(place): input_zero_point is \(zero), but \(scheme.format.name) has none; write the "
          + "checkpoint again without it")
    }
    return .fixed(scheme, scale: scale, zeroPoint: zero)
  }

  /// The scale beside those of the groups of a layer's inputs; 1 where there is none.
  private func globalInputScale(
    _ module: String, _ scheme: InputScheme, _ size: Int, _ place: String
  ) throws -> Float {
    let columns = try inputColumns(module, place)
    guard columns % size == 0 else {
      throw CheckpointError(
        .malformed,
        "\(place): groups of \(size) do not divide \(columns) inputs; correct group_size in "
          + "quantization_config")
    }
    guard scheme.scales == .e4m3 else { return 1 }
    guard let global = try number(module + ".input_global_scale"), global.isNormal, global > 0,
      (448 / global).isFinite, (0.125 / global).isNormal
    else {
      throw CheckpointError(
        .malformed,
        "\(place): input_global_scale is missing or not above 0; quantize the original model again")
    }
    return global
  }

  /// The columns of a weight in codes or numbers, whose inputs may be in groups either way.
  private func inputColumns(_ module: String, _ place: String) throws -> Int {
    if let coded = try compressedShape(module) { return coded[1] }
    let name = module + ".weight"
    let dense = try contains(name) ? description(of: name).shape : []
    guard dense.count == 2 else {
      throw CheckpointError(
        .malformed,
        "\(place): groups need a matrix \(name), and there is none; correct targets in "
          + "quantization_config")
    }
    return dense[1]
  }

  func compressedScheme(_ module: String) throws(CheckpointError) -> LayerScheme? {
    guard let group = try quantizationConfig()?.group(of: module) else { return nil }
    return LayerScheme(
      weights: try group.weights?.weightScheme("\(path): \(module): weights"),
      inputs: try group.inputs?.inputScheme("\(path): \(module): input_activations"))
  }

  func compressedShape(_ module: String) throws -> [Int]? {
    guard let scheme = try compressedScheme(module)?.weights else { return nil }
    if try packedName(module) != nil {
      return try packedLayout(module, scheme.format).shape
    }
    guard contains(module + ".weight") else { return nil }
    let stored = try description(of: module + ".weight")
    guard stored.type == .int8 || stored.type == .float8e4m3 else { return nil }
    guard stored.shape.count == 2, !stored.shape.contains(0) else {
      throw CheckpointError(
        .malformed, "\(path): \(module).weight \(stored.shape) is not a matrix")
    }
    return stored.shape
  }

  /// The one number of a tensor of one element; nil where there is no such tensor.
  func number(_ name: String) throws -> Float? {
    guard contains(name) else { return nil }
    let tensor = try tensor(name)
    guard tensor.count == 1 else {
      throw CheckpointError(.malformed, "\(path): \(name) has shape \(tensor.shape), not [1]")
    }
    return tensor.float().scalar
  }

  /// The tensor that holds the packed codes of `module`; nil where it has none.
  private func packedName(_ module: String) throws -> String? {
    let name = module + ".weight_packed"
    if contains(name) { return name }
    let own = "\(module).\(CompressedTensorsConfig.Method.halftone.codesName)"
    let isOwn = try isOwnFormat && contains(own) && storedType(of: own) == .int32
    return isOwn ? own : nil
  }

  private func packedCodes(
    _ module: String, _ format: any NumberFormat
  ) throws -> (Tensor, PackedCodes.Layout) {
    let (shape, layout) = try packedLayout(module, format)
    let name = try packedName(module) ?? module + ".weight_packed"
    let isWords = try storedType(of: name) == .int32
    let codes = try withBytes(of: name) { bytes in
      if isWords,
        let row = PackedCodes.firstPaddedRow(bytes, shape, bits: format.bits, layout)
      {
        throw CheckpointError(
          .malformed,
          "\(path): \(name) has bits set behind the \(shape[1]) codes of row \(row); the file is "
            + "damaged or another layout")
      }
      return format.loaded(
        PackedCodes.unpack(
          bytes, shape, bits: format.bits, low: PackedCodes.low(of: format), layout))
    }
    try checkNumbers(codes, format, in: module)
    return (codes, layout)
  }

  /// - Throws: ``CheckpointError`` where a code stands for no finite number.
  func checkNumbers(
    _ codes: Tensor, _ format: any NumberFormat, in module: String
  ) throws(CheckpointError) {
    guard case .table(let values) = format.values else { return }
    var isFinite = [Bool](repeating: false, count: 256)
    for (code, value) in values.enumerated() { isFinite[code] = value.isFinite }
    guard !isFinite.prefix(values.count).allSatisfy({ $0 }) else { return }
    guard codes.withBytes({ $0.allSatisfy { isFinite[Int($0)] } }) else {
      throw CheckpointError(
        .malformed,
        "\(path): \(module) holds codes of \(format.name) that are NaN or infinite; quantize the "
          + "original model again")
    }
  }

  private func packedLayout(
    _ module: String, _ format: any NumberFormat
  ) throws -> (shape: [Int], layout: PackedCodes.Layout) {
    let name = try packedName(module) ?? module + ".weight_packed"
    let (words, bits) = (try description(of: name), format.bits)
    if words.type == .uint8, !(format is IntegerFormat), words.shape.count == 2,
      !words.shape.contains(0),
      words.shape[1] < 1 << 31, words.shape[1] * 8 % bits == 0
    {
      return ([words.shape[0], words.shape[1] * 8 / bits], .dense)
    }
    guard words.type == .int32, words.shape.count == 2 else {
      throw CheckpointError(.malformed, "\(path): \(name) is not an I32 matrix")
    }
    let shape = try originalShape(module)
    guard shape[0] == words.shape[0], !shape.contains(0),
      let layout = PackedCodes.layout(words: words.shape[1], columns: shape[1], bits: bits)
    else {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) \(words.shape) does not hold \(bits)-bit codes of a matrix \(shape)")
    }
    return (shape, layout)
  }

  private func originalShape(_ module: String) throws -> [Int] {
    let name = module + ".weight_shape"
    let description = try description(of: name)
    guard description.shape == [2], [.int64, .int32].contains(description.type) else {
      throw CheckpointError(.malformed, "\(path): \(name) is not two integers")
    }
    let shape = try withBytes(of: name) { bytes in
      (0..<2).map {
        description.type == .int64
          ? Int(bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self))
          : Int(bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self))
      }
    }
    // A row of 2^31 columns is far beyond any layer, and keeps the products below in range.
    guard shape.allSatisfy({ (0..<1 << 31).contains($0) }) else {
      throw CheckpointError(.malformed, "\(path): \(name) \(shape) is not a matrix's shape")
    }
    return shape
  }

  /// Codes of a byte each: integers, or 8-bit floats.
  private func byteCodes(_ name: String, _ format: any NumberFormat) throws -> Tensor {
    let description = try description(of: name)
    guard description.shape.count == 2, !description.shape.contains(0) else {
      throw CheckpointError(.malformed, "\(path): \(name) \(description.shape) is not a matrix")
    }
    let expected: StoredType? =
      format is IntegerFormat ? .int8 : format.name == "e4m3fn" ? .float8e4m3 : nil
    guard description.type == expected else {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) is \(description.type.rawValue), but quantization_config says \(format.name)"
      )
    }
    guard let format = format as? IntegerFormat else {
      let codes = try withBytes(of: name) { bytes in
        Tensor(shape: description.shape, elementType: .int8) { $0.copyMemory(from: bytes) }
      }
      try checkNumbers(codes, format, in: name)
      return codes
    }
    let codes = try tensor(name)
    let range = Int8(format.low)...Int8(format.high)
    let fits =
      format.bits == 8
      || codes.withBytes { $0.bindMemory(to: Int8.self).allSatisfy { range.contains($0) } }
    guard fits else {
      throw CheckpointError(
        .malformed, "\(path): \(name) holds codes outside of \(format.low)...\(format.high)")
    }
    return codes
  }

  /// Zero points [rows, groups]; nil where all are 0.
  private func zeroPoints(
    _ module: String, _ bits: Int, _ table: [Int], _ preferred: PackedCodes.Layout
  ) throws -> Tensor? {
    let name = module + ".weight_zero_point"
    guard contains(name) else { return nil }
    let stored = try tensor(name)
    func mismatch() -> CheckpointError {
      CheckpointError(
        .malformed,
        "\(path): \(name) \(stored.elementType.rawValue) \(stored.shape) does not hold \(bits)-bit "
          + "zero points \(table)")
    }
    let zeros: Tensor
    if stored.elementType == .int32, stored.shape.count == 2, stored.columns == table[1],
      let layout = PackedCodes.layout(
        words: stored.rows, columns: table[0], bits: bits, preferred: preferred)
    {
      let words = PackedCodes.transposed(stored)
      let padded = words.withBytes {
        PackedCodes.firstPaddedRow($0, [table[1], table[0]], bits: bits, layout)
      }
      if let padded {
        throw CheckpointError(
          .malformed,
          "\(path): \(name) has bits set behind the \(table[0]) zero points of column \(padded), so "
            + "the file is damaged or another layout; fetch it again")
      }
      let codes = PackedCodes.unpack(
        words, columns: table[0], bits: bits, low: -(1 << (bits - 1)), layout)
      zeros = PackedCodes.transposed(codes).float()
    } else {
      guard stored.count == table[0] * table[1], stored.elementType != .int32 else {
        throw mismatch()
      }
      zeros = stored.float().reshaped(table)
    }
    let bound = Float(1 << (bits - 1))
    guard zeros.withElements({ $0.allSatisfy { $0 >= -bound && $0 < bound && $0 == $0.rounded() } })
    else { throw mismatch() }
    return zeros.withElements { $0.contains { $0 != 0 } } ? zeros : nil
  }
}
