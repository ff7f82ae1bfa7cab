public import CHalftoneKernels
import HalftoneTensor

/// A matrix of 4-bit codes with whole numbers as the scales of groups and a float for each row: in the kernel
/// codes become weights of eight bits, and one integer sum goes over the whole row.
///
/// Zhang and others. *Dual Grained Quantization: Efficient Fine-Grained Quantization for LLM.* 2023.
/// <https://arxiv.org/abs/2310.04836>
public final class DualMatrix: @unchecked Sendable {
  /// The most columns for which no sum of 32 bits overflows; HalftoneProducts.h has the proof.
  public static let mostColumns = 65_536

  public let rows: Int
  public let columns: Int
  private let codes: Tensor
  private let factors: Tensor
  private let offsets: Tensor
  private let rowScales: Tensor
  private let rowSums: Tensor
  private let description = UnsafeMutablePointer<halftone_dual_matrix>.allocate(capacity: 1)

  /// The same codes and scales as `tensor`; nil unless it has signed integers of 4 bits, scales of groups that are
  /// whole numbers k in 1...127 times one float a row, and k·(q − z) in −128...127 for every code.
  public init?(_ tensor: QuantizedTensor) {
    guard let source = DualSource(tensor), source.fits else { return nil }
    (rows, columns) = (source.rows, source.columns)
    let groups = source.groups
    codes = PanelCodes.packed(rows: rows, columns: columns, bits: 4) { row, out in
      source.withCodes(row) { codes in
        for j in codes.indices { out[j] = UInt8(bitPattern: codes[j] &- Int8(source.low)) }
      }
    }
    factors = PanelCodes.table(rows: rows, groups: groups, filler: UInt8(0)) {
      UInt8(source.factor($0, $1))
    }
    offsets = PanelCodes.table(rows: rows, groups: groups, filler: UInt8(0)) {
      UInt8(truncatingIfNeeded: 128 + source.factor($0, $1) * (source.low - source.zero($0, $1)))
    }
    rowScales = PanelCodes.table(rows: rows, groups: 1, filler: Float(0)) { row, _ in
      source.units[row]
    }
    rowSums = PanelCodes.table(rows: rows, groups: 1, filler: Float(0)) { row, _ in
      Float(Double(source.weightSum(row)) * Double(source.units[row]))
    }
    var matrix = halftone_dual_matrix()
    matrix.rows = rows
    matrix.columns = columns
    matrix.group = columns / groups
    matrix.factors = Self.bytes(factors)
    matrix.offsets = Self.bytes(offsets)
    matrix.row_scales = PackedMatrix.address(rowScales).assumingMemoryBound(to: Float.self)
    matrix.row_sums = PackedMatrix.address(rowSums).assumingMemoryBound(to: Float.self)
    matrix.codes = Self.bytes(codes)
    description.initialize(to: matrix)
  }

  deinit { description.deallocate() }

  private static func bytes(_ tensor: Tensor) -> UnsafePointer<UInt8> {
    PackedMatrix.address(tensor).assumingMemoryBound(to: UInt8.self)
  }

  /// The bytes that codes, factors, offsets and scales take.
  public var byteCount: Int { codes.count + factors.count + offsets.count + rowScales.count }

  /// The matrix for the kernels, valid as long as this object lives.
  public var kernelMatrix: UnsafePointer<halftone_dual_matrix> { UnsafePointer(description) }
}

/// The parts of a tensor with two levels of scales.
private struct DualSource: Sendable {
  let tensor: QuantizedTensor
  let rows: Int
  let columns: Int
  let groups: Int
  let low: Int
  let factors: [Float]
  let zeros: [Float]?
  let units: [Float]

  init?(_ tensor: QuantizedTensor) {
    let (rows, columns) = (tensor.shape[0], tensor.shape[1])
    guard let format = tensor.format as? IntegerFormat, format.bits == 4, tensor.outliers == nil,
      tensor.levels.count == 2, tensor.levels[1].shape == [rows, 1],
      tensor.levels[0].shape[0] == rows, columns <= DualMatrix.mostColumns
    else { return nil }
    self.tensor = tensor
    (self.rows, self.columns) = (rows, columns)
    groups = tensor.levels[0].shape[1]
    low = format.low
    factors = tensor.levels[0].values
    zeros = tensor.zeroPoints?.values
    units = tensor.levels[1].values
    guard groups == 1 || columns / groups % 32 == 0 else { return nil }
  }

  func factor(_ row: Int, _ group: Int) -> Int { Int(factors[row * groups + group]) }
  func zero(_ row: Int, _ group: Int) -> Int { zeros.map { Int($0[row * groups + group]) } ?? 0 }

  func withCodes<R>(_ row: Int, _ body: (UnsafeBufferPointer<Int8>) -> R) -> R {
    tensor.codes.withBytes { bytes in
      body(
        UnsafeBufferPointer(
          rebasing: bytes.bindMemory(to: Int8.self)[row * columns..<(row + 1) * columns]))
    }
  }

  /// Whether all weights are whole numbers of eight bits.
  var fits: Bool {
    guard factors.allSatisfy({ $0 >= 1 && $0 <= 127 && $0 == $0.rounded() }),
      zeros?.allSatisfy({ abs($0) <= 255 && $0 == $0.rounded() }) ?? true
    else { return false }
    return (0..<rows).allSatisfy { row in
      withCodes(row) { codes in
        let width = columns / groups
        return (0..<groups).allSatisfy { group in
          let (factor, zero) = (factor(row, group), zero(row, group))
          return codes[group * width..<(group + 1) * width].allSatisfy { code in
            (-128...127).contains(factor * (Int(code) - zero))
              && (low...(low + 15)).contains(Int(code))
          }
        }
      }
    }
  }

  func weightSum(_ row: Int) -> Int {
    withCodes(row) { codes in
      codes.indices.reduce(0) { sum, j in
        let group = j / (columns / groups)
        return sum + factor(row, group) * (Int(codes[j]) - zero(row, group))
      }
    }
  }
}
