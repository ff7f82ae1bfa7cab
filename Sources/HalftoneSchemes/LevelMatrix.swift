public import CHalftoneKernels
import HalftoneTensor

/// A weight matrix whose codes stand for floats, in the layout that the products of float inputs read;
/// HalftoneProducts.h describes it.
///
/// value(i, j) = scale(i, j) · value(code). Small tables are looked up, minifloats of five and more bits
/// restored by shifts: six bits lie in a plane of four and one of two, the "4+2" of FP6-LLM (Xia and others
/// 2024, <https://arxiv.org/abs/2401.14112>), and become halves as there.
public final class LevelMatrix: @unchecked Sendable {
  public let rows: Int
  public let columns: Int
  /// Bits that a code takes.
  public let bits: Int
  private let codes: Tensor
  private let scales: Tensor
  private let levels: Tensor?
  private let description = UnsafeMutablePointer<halftone_level_matrix>.allocate(capacity: 1)

  /// What codes stand for, and how they are stored.
  enum Coding {
    /// Entries by code: 2^bits, or 32 of pairs.
    case table([Float], bits: Int, pairs: Bool)
    /// Minifloats of 5, 6 or 8 bits; scales take the factor along.
    case floats(exponentBits: Int, bits: Int, factor: Float)

    var bits: Int {
      switch self {
      case .table(_, let bits, _), .floats(_, let bits, _): bits
      }
    }

    var factor: Float {
      guard case .floats(_, _, let factor) = self else { return 1 }
      return factor
    }
  }

  /// Packs what `fill` writes of each row, codes as `coding` has them; nil where scales with their factor
  /// are no finite floats that lead back.
  init?(
    rows: Int, columns: Int, groups: Int, coding: Coding,
    scale: (_ row: Int, _ group: Int) -> Float,
    fill: (_ row: Int, UnsafeMutablePointer<UInt8>) -> Void
  ) {
    var matrix = halftone_level_matrix()
    guard
      let scales = Self.scales(rows: rows, groups: groups, factor: coding.factor, scale)
    else { return nil }
    (self.rows, self.columns, bits, self.scales) = (rows, columns, coding.bits, scales.table)
    switch coding {
    case .table(let entries, _, let pairs):
      matrix.kind = pairs ? halftone_levels_pairs : halftone_levels_table
      levels = Tensor(entries, shape: [entries.count])
    case .floats(let exponentBits, _, _):
      matrix.kind = halftone_levels_floats
      matrix.exponent_bits = Int32(exponentBits)
      levels = nil
    }
    codes = PanelCodes.packed(rows: rows, columns: columns, bits: bits, fill: fill)
    matrix.rows = rows
    matrix.columns = columns
    matrix.bits = Int32(bits)
    matrix.group = columns / groups
    matrix.scale_type = scales.type
    matrix.scales = PackedMatrix.address(scales.table)
    matrix.levels = levels.map { PackedMatrix.address($0).assumingMemoryBound(to: Float.self) }
    matrix.codes = PackedMatrix.address(codes).assumingMemoryBound(to: UInt8.self)
    description.initialize(to: matrix)
  }

  /// The scales times `factor` as kernels read them, in halves where these hold all; nil where a product is
  /// not exact.
  private static func scales(
    rows: Int, groups: Int, factor: Float, _ scale: (_ row: Int, _ group: Int) -> Float
  ) -> (table: Tensor, type: halftone_scale_type)? {
    var values = [Float](repeating: 0, count: rows * groups)
    for row in 0..<rows {
      for group in 0..<groups {
        let plain = scale(row, group)
        let value = plain * factor
        guard value.isFinite, value / factor == plain else { return nil }
        values[row * groups + group] = value
      }
    }
    if let halves = halves(values) {
      let table = PanelCodes.table(rows: rows, groups: groups, filler: UInt16(0)) {
        halves[$0 * groups + $1]
      }
      return (table, halftone_scale_f16)
    }
    let table = PanelCodes.table(rows: rows, groups: groups, filler: Float(0)) {
      values[$0 * groups + $1]
    }
    return (table, halftone_scale_f32)
  }

  deinit { description.deallocate() }

  /// The same numbers as halves; nil where these do not hold them all.
  private static func halves(_ values: [Float]) -> [UInt16]? {
    let halves = [UInt16](unsafeUninitializedCapacity: values.count) { out, count in
      guard let base = out.baseAddress else { return }
      halftone_kernels_best().pointee.f32_to_f16(values, base, values.count)
      count = values.count
    }
    let back = [Float](unsafeUninitializedCapacity: values.count) { out, count in
      guard let base = out.baseAddress else { return }
      halftone_kernels_best().pointee.f16_to_f32(halves, base, values.count)
      count = values.count
    }
    return back == values ? halves : nil
  }

  /// The bytes that codes and scales take.
  public var byteCount: Int { codes.count + scales.count }

  /// The matrix for the kernels, valid as long as this object lives.
  public var kernelMatrix: UnsafePointer<halftone_level_matrix> { UnsafePointer(description) }
}

extension QuantizedTensor {
  /// The matrix for products of float inputs with codes that stand for floats, the same codes and scales.
  ///
  /// nil where there is none: whole numbers, outliers kept beside the codes, codes of no value, groups of
  /// other sizes than 16 and multiples of 32.
  public func levelMatrix() -> LevelMatrix? {
    guard case .table(let values) = format.values, zeroPoints == nil, outliers == nil,
      usesOnlyFiniteCodes(of: values)
    else { return nil }
    let (rows, columns) = (shape[0], shape[1])
    let groups = levels.map { $0.shape[1] }.max() ?? 1
    let group = columns / groups
    guard levels.allSatisfy({ groups % $0.shape[1] == 0 }),
      groups == 1 || group == 16 || group % 32 == 0
    else { return nil }
    let tables = levels.map {
      ($0.values, rows / $0.shape[0], groups / $0.shape[1], $0.shape[1])
    }
    let (coding, map) = levelCoding(values)
    let stored = format is OutlierVictimFormat ? format.stored(codes) : codes
    return stored.withBytes { bytes in
      LevelMatrix(
        rows: rows, columns: columns, groups: groups, coding: coding,
        scale: { row, group in
          tables.reduce(1) { $0 * $1.0[row / $1.1 * $1.3 + group / $1.2] }
        },
        fill: { row, out in
          for j in 0..<columns { out[j] = map[Int(bytes[row * columns + j])] }
        })
    }
  }

  /// How the codes are stored, and as which each of the 256 bytes.
  private func levelCoding(_ values: [Float]) -> (LevelMatrix.Coding, [UInt8]) {
    let same = (0..<256).map { UInt8($0) }
    if format is OutlierVictimFormat {
      // The mark of a victim is 0.
      let entries = values.map { $0.isFinite ? $0 : 0 }
      return (.table(entries, bits: 4, pairs: true), same)
    }
    if let float = format as? FloatFormat, let bits = float.shiftedBits {
      // Mantissa bits of 0 at the end change no value.
      let zeros = bits - float.bits
      let map = same.map { $0 << UInt8(zeros) }
      let factor = Float(sign: .plus, exponent: 15 - float.bias, significand: 1)
      return (.floats(exponentBits: float.exponentBits, bits: bits, factor: factor), map)
    }
    let bits = [3, 4, 5, 6, 8].first { $0 >= format.bits } ?? 8
    let entries = (0..<(1 << bits)).map { code in
      let value = values[code % values.count]
      return value.isFinite ? value : 0
    }
    return (.table(entries, bits: bits, pairs: false), same)
  }

  /// Whether every code there is stands for a number.
  func usesOnlyFiniteCodes(of values: [Float]) -> Bool {
    if values.allSatisfy(\.isFinite), 256 % values.count == 0 { return true }
    var seen = [Bool](repeating: false, count: 256)
    codes.withBytes { bytes in
      seen.withUnsafeMutableBufferPointer { seen in
        for byte in bytes { seen[Int(byte)] = true }
      }
    }
    return seen.indices.allSatisfy { !seen[$0] || values[$0 % values.count].isFinite }
  }
}

extension FloatFormat {
  /// The bits of codes that shifts turn into halves: those of the format, seven made eight; nil for fewer than
  /// five bits and for exponents that halves do not have.
  var shiftedBits: Int? {
    guard bits >= 5, exponentBits < 5 || exponentBits == 5 && specials == .ieee else { return nil }
    return bits == 7 ? 8 : bits
  }
}
