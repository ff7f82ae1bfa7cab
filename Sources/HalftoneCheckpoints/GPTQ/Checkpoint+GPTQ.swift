import HalftoneSchemes
import HalftoneTensor

/// The tensors of a quantized layer in GPTQ files, b bits a code, q from 0:
///
/// | tensor    | type, shape           | holds                                                    |
/// | --------- | --------------------- | -------------------------------------------------------- |
/// | `qweight` | I32 [in·b/32, out]    | codes, a stream of bits down each column                 |
/// | `qzeros`  | I32 [groups, out·b/32] | zero points along a row, less one in version 1          |
/// | `scales`  | F16 [groups, out]     | value = (q − zero) · scale                               |
/// | `g_idx`   | I32 [in]              | the group of each input; j/g where columns were in order |
///
/// As GPTQModel 7.7 writes and reads them.
extension Checkpoint {
  func gptqScheme(_ module: String, _ config: GPTQConfig) throws(CheckpointError) -> WeightScheme? {
    guard contains(module + ".qweight") else { return nil }
    let settings = try gptqSettings(module, config)
    guard let format = try? IntegerFormat(bits: settings.bits) else { return nil }
    return WeightScheme(
      format: format, granularity: settings.groupSize.map { .group($0) } ?? .channel,
      symmetric: settings.symmetric, range: .minMax)
  }

  func gptqShape(_ module: String, _ config: GPTQConfig) throws -> [Int]? {
    guard contains(module + ".qweight") else { return nil }
    let bits = try gptqSettings(module, config).bits
    let words = try wordsShape(module + ".qweight", .int32)
    guard words[0] < 1 << 31, words[0] * 32 % bits == 0, words[1] * bits % 32 == 0 else {
      throw CheckpointError(
        .malformed,
        "\(path): \(module).qweight \(words) does not hold whole words of \(bits)-bit codes; correct "
          + "bits in quantization_config")
    }
    return [words[1], words[0] * 32 / bits]
  }

  private func gptqSettings(
    _ module: String, _ config: GPTQConfig
  ) throws(CheckpointError) -> GPTQConfig.Settings {
    guard let settings = config.settings(of: module) else {
      throw CheckpointError(
        .malformed,
        "\(path): \(module) holds quantized codes, but dynamic in quantization_config leaves it out"
      )
    }
    return settings
  }

  func gptqWeight(_ module: String, _ config: GPTQConfig) throws -> StoredWeight {
    try gptqCodes(module, config)?.weight() ?? .dense(try tensor(module + ".weight"))
  }

  /// nil where the layer is dense.
  func gptqCodes(_ module: String, _ config: GPTQConfig) throws -> GroupedCodes? {
    guard let shape = try gptqShape(module, config) else { return nil }
    let settings = try gptqSettings(module, config)
    let (bits, groups) = (settings.bits, try groupCount(module, shape, settings.groupSize))
    let scales = try gridNumbers(module + ".scales", [groups, shape[0]])
    let zeros = try gptqZeros(module, settings, config.version, [groups, shape[0]])
    let codes = PackedCodes.unpack(
      PackedCodes.transposed(try tensor(module + ".qweight")), columns: shape[1], bits: bits,
      low: -(1 << (bits - 1)), .dense)
    let isSymmetric = zeros.withElements { $0.allSatisfy { $0 == 0 } }
    return GroupedCodes(
      format: try IntegerFormat(bits: bits), codes: codes, scales: PackedCodes.transposed(scales),
      zeros: isSymmetric ? nil : PackedCodes.transposed(zeros),
      order: try groupOrder(module, config, columns: shape[1]))
  }

  /// The group of each of so many columns; nil where groups are runs of neighbours.
  func groupOrder(_ module: String, _ config: GPTQConfig, columns: Int) throws -> [Int]? {
    let size = try gptqSettings(module, config).groupSize
    let groups = try groupCount(module, [1, columns], size)
    return try groupOrder(module + ".g_idx", columns: columns, groups: groups)
  }

  /// Groups of `size` columns in a row of a matrix `shape`.
  func groupCount(_ module: String, _ shape: [Int], _ size: Int?) throws -> Int {
    guard let size, size < shape[1] else { return 1 }
    guard shape[1] % size == 0 else {
      throw CheckpointError(
        .malformed,
        "\(path): \(module): groups of \(size) do not divide rows of \(shape[1]); correct group_size "
          + "in quantization_config")
    }
    return shape[1] / size
  }

  /// Zero points counted from the middle of the codes, [groups, out].
  private func gptqZeros(
    _ module: String, _ settings: GPTQConfig.Settings, _ version: GPTQConfig.Version, _ table: [Int]
  ) throws -> Tensor {
    let name = module + ".qzeros"
    let words = try wordsShape(name, .int32)
    guard words == [table[0], table[1] * settings.bits / 32] else {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) \(words) does not hold \(settings.bits)-bit zero points \(table); the "
          + "configuration or the file is another model's")
    }
    let stored = try tensor(name)
    let packed = version == .one ? GPTQZeros.restored(stored, bits: settings.bits) : stored
    let middle = 1 << (settings.bits - 1)
    var zeros = PackedCodes.unpack(
      packed, columns: table[1], bits: settings.bits, low: -middle, .dense
    ).float()
    if version == .one, settings.bits == 3 { zeros = GPTQZeros.restoredThreeBits(zeros) }
    if settings.symmetric, let zero = zeros.values.first(where: { $0 != 0 }) {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) holds the zero point \(Int(zero) + middle), but sym is true, which makes all "
          + "of them \(middle); correct sym or checkpoint_format in quantization_config")
    }
    return zeros
  }
}

/// The zero points of version 1, which are stored less one.
enum GPTQZeros {
  /// One in each field of a word; 3 bits, whose fields cross words, have no such word.
  private static func ones(_ bits: Int) -> UInt32? {
    [2: 0x5555_5555, 4: 0x1111_1111, 8: 0x0101_0101][bits]
  }

  /// The words with one added to each field.
  ///
  /// The writers subtract from whole words, where a zero point of 0 borrows from its neighbour;
  /// adding to whole words undoes that.
  static func restored(_ words: Tensor, bits: Int) -> Tensor {
    ones(bits).map { one in mapped(words) { $0 &+ one } } ?? words
  }

  /// The words with one taken from each field, none of which is 0.
  static func reduced(_ words: Tensor, bits: Int) -> Tensor {
    ones(bits).map { one in mapped(words) { $0 &- one } } ?? words
  }

  /// 3-bit zero points −4...3 with one added, from the end to the beginning.
  static func restoredThreeBits(_ zeros: Tensor) -> Tensor {
    Tensor(zeros.values.map { $0 == 3 ? -4 : $0 + 1 }, shape: zeros.shape)
  }

  private static func mapped(_ words: Tensor, _ change: (UInt32) -> UInt32) -> Tensor {
    Tensor(shape: words.shape, elementType: .int32) { out in
      words.withBytes { bytes in
        for at in stride(from: 0, to: bytes.count, by: 4) {
          let word = bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)
          out.storeBytes(of: change(word), toByteOffset: at, as: UInt32.self)
        }
      }
    }
  }
}
