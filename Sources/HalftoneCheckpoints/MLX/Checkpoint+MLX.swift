import HalftoneSchemes
import HalftoneTensor

/// The tensors of a quantized linear layer or embedding in MLX files, b bits a code:
///
/// | tensor   | type, shape              | holds                                               |
/// | -------- | ------------------------ | --------------------------------------------------- |
/// | `weight` | U32 [out, in·b/32]       | codes, a stream of bits along each row              |
/// | `scales` | floats, or U8 [out, in/g] | floats; exponents plus 127 (MXFP); E4M3 (NVFP4)    |
/// | `biases` | floats [out, in/g]       | affine only: value = code · scale + bias, code ≥ 0 |
///
/// As mlx 0.32 writes and reads them.
extension Checkpoint {
  func mlxScheme(_ module: String, _ config: MLXConfig) throws(CheckpointError) -> WeightScheme? {
    guard contains(module + ".scales") else { return nil }
    return try mlxSettings(module, config).scheme
  }

  private func mlxSettings(
    _ module: String, _ config: MLXConfig
  ) throws(CheckpointError) -> MLXConfig.Settings {
    guard let settings = config.settings(of: module) else {
      throw CheckpointError(
        .malformed,
        "\(path): \(module) has scales, but config.json says it is not quantized; correct its entry "
          + "of quantization")
    }
    return settings
  }

  func mlxShape(_ module: String, _ config: MLXConfig) throws -> [Int]? {
    guard contains(module + ".scales") else { return nil }
    let settings = try mlxSettings(module, config)
    let words = try wordsShape(module + ".weight", .uint32)
    guard words[1] < 1 << 31, words[1] * 32 % settings.bits == 0,
      words[1] * 32 / settings.bits % settings.groupSize == 0
    else {
      throw CheckpointError(
        .malformed,
        "\(path): \(module).weight \(words) does not hold groups of \(settings.groupSize) "
          + "\(settings.bits)-bit codes; correct bits and group_size in config.json")
    }
    return [words[0], words[1] * 32 / settings.bits]
  }

  func mlxWeight(_ module: String, _ config: MLXConfig) throws -> StoredWeight {
    guard let shape = try mlxShape(module, config) else {
      return .dense(try tensor(module + ".weight"))
    }
    let settings = try mlxSettings(module, config)
    let format = settings.format
    let table = [shape[0], shape[1] / settings.groupSize]
    let codes = try withBytes(of: module + ".weight") { bytes in
      PackedCodes.unpack(
        bytes, shape, bits: format.bits, low: PackedCodes.low(of: format), .dense)
    }
    guard settings.mode == .affine else {
      try checkNumbers(codes, format, in: module)
      return .quantized(
        try QuantizedTensor(
          shape: shape, format: format, codes: codes,
          levels: [try byteScales(module + ".scales", settings.scales, table)]))
    }
    let scales = try gridNumbers(module + ".scales", table)
    let offsets = try gridNumbers(module + ".biases", table, allowsZero: true)
    return .quantized(
      try QuantizedTensor(
        shape: shape, format: format, codes: codes, levels: [scales],
        zeroPoints: try mlxZeros(module, scales, offsets, middle: 1 << (settings.bits - 1))))
  }

  /// −offset/scale, counted from the middle of the codes; nil where all are 0.
  ///
  /// A whole number where the offset is a multiple of the scale. Elsewhere the quotient as a float, so
  /// that (code − zero) · scale is code · scale + offset but for the last place.
  private func mlxZeros(
    _ module: String, _ scales: Tensor, _ offsets: Tensor, middle: Int
  ) throws -> Tensor? {
    let zeros = zip(scales.values, offsets.values).map { scale, offset in
      Float(-Double(offset) / Double(scale) - Double(middle))
    }
    guard zeros.allSatisfy(\.isFinite) else {
      throw CheckpointError(
        .malformed,
        "\(path): \(module).biases are too large beside its scales; fetch the file again")
    }
    return zeros.allSatisfy { $0 == 0 } ? nil : Tensor(zeros, shape: scales.shape)
  }

  /// Scales of a byte each.
  private func byteScales(_ name: String, _ format: ScaleFormat, _ table: [Int]) throws -> Tensor {
    let stored = try description(of: name)
    guard stored.type == .uint8, stored.shape == table else {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) is \(stored.type.rawValue) \(stored.shape), but the codes beside it need "
          + "U8 \(table); correct mode and group_size in config.json")
    }
    let values = try withBytes(of: name) { bytes in
      try bytes.map { byte in
        // mlx writes E4M3(max |w|/6), which is 0 for groups of small numbers; their codes are 0.
        if byte == 0, format == .e4m3 { return Float(0) }
        guard let value = format.value(of: byte) else {
          throw CheckpointError(
            .malformed,
            "\(path): \(name) holds the byte \(byte), which is no scale above 0; quantize the "
              + "original model again")
        }
        return value
      }
    }
    return Tensor(values, shape: table)
  }
}
