import HalftoneSchemes
import HalftoneTensor

/// The tensors of a quantized layer in AWQ files for GEMM kernels, 4 bits a code, q from 0:
///
/// | tensor    | type, shape         | holds                                          |
/// | --------- | ------------------- | ---------------------------------------------- |
/// | `qweight` | I32 [in, out/8]     | codes of eight outputs a word, see ``AWQOrder`` |
/// | `qzeros`  | I32 [groups, out/8] | zero points in the same order                  |
/// | `scales`  | F16 [groups, out]   | value = (q − zero) · scale                     |
///
/// As AutoAWQ 0.2.9 and GPTQModel 7.7 write and read them.
extension Checkpoint {
  func awqScheme(_ module: String, _ config: AWQConfig) throws(CheckpointError) -> WeightScheme? {
    guard contains(module + ".qweight") else { return nil }
    return WeightScheme(
      format: IntegerFormat.int4, granularity: config.groupSize.map { .group($0) } ?? .channel,
      symmetric: false, range: .minMax)
  }

  func awqShape(_ module: String, _ config: AWQConfig) throws -> [Int]? {
    guard contains(module + ".qweight") else { return nil }
    let words = try wordsShape(module + ".qweight", .int32)
    guard words[1] < 1 << 31 else {
      throw CheckpointError(.malformed, "\(path): \(module).qweight \(words) is too wide")
    }
    return [words[1] * 8, words[0]]
  }

  func awqWeight(_ module: String, _ config: AWQConfig) throws -> StoredWeight {
    guard let shape = try awqShape(module, config) else {
      return .dense(try tensor(module + ".weight"))
    }
    let groups = try groupCount(module, shape, config.groupSize)
    let scales = try gridNumbers(module + ".scales", [groups, shape[0]])
    let words = try wordsShape(module + ".qzeros", .int32)
    guard words == [groups, shape[0] / 8] else {
      throw CheckpointError(
        .malformed,
        "\(path): \(module).qzeros \(words) does not hold 4-bit zero points [\(groups), \(shape[0])]; "
          + "correct group_size in quantization_config")
    }
    let codes = AWQOrder.unpacked(try tensor(module + ".qweight"))
    let zeros = AWQOrder.unpacked(try tensor(module + ".qzeros")).float()
    let isSymmetric = zeros.withElements { $0.allSatisfy { $0 == 0 } }
    return .quantized(
      try QuantizedTensor(
        shape: shape, format: IntegerFormat.int4, codes: codes,
        levels: [PackedCodes.transposed(scales)], zeroPoints: isSymmetric ? nil : zeros))
  }
}

/// The place of eight outputs in a word: its fields, from the lowest, hold 0, 2, 4, 6, 1, 3, 5, 7.
enum AWQOrder {
  private static let outputOfField = [0, 2, 4, 6, 1, 3, 5, 7]
  private static let fieldOfOutput = [0, 4, 1, 5, 2, 6, 3, 7]

  /// Codes −8...7 [out, n] of words [n, out/8].
  static func unpacked(_ words: Tensor) -> Tensor {
    let fields = PackedCodes.unpack(words, columns: words.columns * 8, bits: 4, low: -8, .dense)
    return rows(of: PackedCodes.transposed(fields), fieldOfOutput)
  }

  /// Words [n, out/8] of codes −8...7 [out, n].
  static func packed(_ codes: Tensor) -> Tensor {
    PackedCodes.pack(PackedCodes.transposed(rows(of: codes, outputOfField)), bits: 4, low: -8)
  }

  /// Row 8c + i of the result is row 8c + order[i] of the matrix, an I8 one.
  private static func rows(of matrix: Tensor, _ order: [Int]) -> Tensor {
    let columns = matrix.columns
    return Tensor(shape: matrix.shape, elementType: .int8) { out in
      matrix.withBytes { bytes in
        guard let from = bytes.baseAddress, let to = out.baseAddress else { return }
        for row in 0..<matrix.rows {
          (to + row * columns).copyMemory(
            from: from + (row / 8 * 8 + order[row % 8]) * columns, byteCount: columns)
        }
      }
    }
  }
}
