// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Testing

/// A packed matrix whose codes stand for floats.
struct LevelCodes {
  var rows: Int
  var columns: Int
  var bits: Int
  var kind = halftone_levels_table
  var exponentBits = 0
  var group = 1 << 20
  var levels: [Float] = []
  /// [padded rows][padded columns].
  var codes: [UInt8]
  var scales: [Float]
  var hasHalfScales = false

  var panels: Int { (rows + 15) / 16 }
  var stride: Int { (columns + 31) / 32 * 32 }
  var groups: Int { group >= columns ? 1 : (columns + group - 1) / group }

  /// Codes that all may occur, and scales in [-1, 1] that halves hold.
  init(
    rows: Int, columns: Int, bits: Int, group: Int, kind: halftone_level_kind, exponentBits: Int,
    using random: inout Generator
  ) {
    (self.rows, self.columns, self.bits, self.group) = (rows, columns, bits, group)
    (self.kind, self.exponentBits) = (kind, exponentBits)
    let top = UInt8(truncatingIfNeeded: (1 << bits) - 1)
    (codes, scales) = ([], [])
    levels = random.uniform(kind == halftone_levels_pairs ? 32 : 1 << bits)
    codes = random.integers(panels * 16 * stride, 0...top)
    if kind == halftone_levels_pairs {
      // Two marks are no pair.
      for i in Swift.stride(from: 0, to: codes.count, by: 2) where codes[i] == 8 {
        codes[i + 1] &= 7
      }
    }
    if kind == halftone_levels_floats, exponentBits == 5 {
      // Infinities and NaN.
      let mask = UInt8(31 << (bits - 6))
      for i in codes.indices where codes[i] & mask == mask { codes[i] ^= mask }
    }
    scales = random.integers(panels * groups * 16, Int32(-64)...64).map { Float($0) / 64 }
    hasHalfScales = Bool.random(using: &random)
  }

  func withMatrix<R>(_ body: (UnsafePointer<halftone_level_matrix>) -> R) -> R {
    var packed: [UInt8] = []
    for panel in 0..<panels {
      var out = [UInt8](repeating: 0, count: stride / 32 * 64 * bits)
      halftone_pack_panel(
        Array(codes[panel * 16 * stride..<(panel + 1) * 16 * stride]), stride, Int32(bits), &out)
      packed += out
    }
    let bytes =
      hasHalfScales
      ? scales.map(half).withUnsafeBytes(Array.init) : scales.withUnsafeBytes(Array.init)
    return packed.withUnsafeBufferPointer { packed in
      bytes.withUnsafeBytes { bytes in
        levels.withUnsafeBufferPointer { levels in
          let matrix = halftone_level_matrix(
            rows: rows, columns: columns, bits: Int32(bits), kind: kind,
            exponent_bits: Int32(exponentBits), levels: levels.baseAddress, group: group,
            scale_type: hasHalfScales ? halftone_scale_f16 : halftone_scale_f32,
            scales: bytes.baseAddress, codes: packed.baseAddress)
          return withUnsafePointer(to: matrix, body)
        }
      }
    }
  }

  /// The products for x [rows, columns], with three floats beside each row.
  func product(_ set: halftone_products, _ x: [Float], first: Int = 0) -> [Float] {
    let count = x.count / columns
    return withMatrix { matrix in
      output(count * (rows + 3)) {
        set.level_product(x, columns, count, matrix, first, panels - first, $0, rows + 3)
      }
    }
  }
}

@Suite("Products with codes that stand for floats")
struct LevelProductTests {
  struct Kind: CustomTestStringConvertible, Sendable {
    var bits: Int
    var kind = halftone_levels_table
    var exponentBits = 0
    var testDescription: String { "\(bits) bits, kind \(kind.rawValue), E\(exponentBits)" }
  }

  static let kinds: [Kind] =
    [3, 4, 5, 6, 8].map { Kind(bits: $0) } + [Kind(bits: 4, kind: halftone_levels_pairs)]
    + [5, 6, 8].flatMap { bits in
      (1...min(5, bits - 1)).map {
        Kind(bits: bits, kind: halftone_levels_floats, exponentBits: $0)
      }
    }

  private func forEachMatrix(_ kind: Kind, _ body: (LevelCodes, inout Generator) -> Void) {
    var random = Generator(seed: UInt64(kind.bits * 8 + kind.exponentBits))
    for group in [16, 32, 64, 96, 128, 1 << 20] {
      for columns in [
        1, 7, 15, 16, 17, 31, 33, 64, 97, 130, Int.random(in: 131...700, using: &random),
      ] {
        body(
          LevelCodes(
            rows: Int.random(in: 1...75, using: &random), columns: columns, bits: kind.bits,
            group: group, kind: kind.kind, exponentBits: kind.exponentBits, using: &random), &random
        )
      }
    }
  }

  @Test("every set gives the plain product's bits", arguments: fasterProducts, kinds)
  func setsAgree(name: String, kind: Kind) throws {
    let (plain, set) = (try products("generic"), try products(name))
    forEachMatrix(kind) { matrix, random in
      for rows in [1, 2, Int.random(in: 3...17, using: &random)] {
        let x = random.uniform(rows * matrix.columns)
        let first = Int.random(in: 0..<matrix.panels, using: &random)
        let expected = bits(matrix.product(plain, x, first: first))
        #expect(
          bits(matrix.product(set, x, first: first)) == expected,
          "\(matrix.rows) x \(matrix.columns), groups of \(matrix.group), \(rows) rows")
      }
    }
  }

  /// A sum of n fused additions is off by at most n·2⁻²⁴ of the sum of magnitudes, a scale and its sum by as much.
  @Test("the plain product is the product", arguments: kinds)
  func plainIsRight(kind: Kind) throws {
    let set = try products("generic")
    forEachMatrix(kind) { matrix, random in
      let x = random.uniform(matrix.columns)
      let found = matrix.product(set, x)
      for i in 0..<matrix.rows {
        var (sum, size) = (0.0, 0.0)
        for j in 0..<matrix.columns {
          let group = matrix.group >= matrix.columns ? 0 : j / matrix.group
          let scale = Double(matrix.scales[(i / 16 * matrix.groups + group) * 16 + i % 16])
          let term = Double(x[j]) * scale * value(matrix, i, j)
          sum += term
          size += abs(term)
        }
        #expect(abs(Double(found[i]) - sum) <= 0x1p-23 * Double(matrix.columns) * size)
      }
    }
  }

  /// An element less its scale, by the definition of the kinds.
  private func value(_ matrix: LevelCodes, _ row: Int, _ column: Int) -> Double {
    let at = row * matrix.stride + column
    let code = Int(matrix.codes[at])
    guard matrix.kind == halftone_levels_floats else {
      let isOutlier = matrix.kind == halftone_levels_pairs && matrix.codes[at ^ 1] == 8
      return Double(matrix.levels[isOutlier ? code + 16 : code])
    }
    let mantissaBits = matrix.bits - 1 - matrix.exponentBits
    let mantissa = Double(code % (1 << mantissaBits)) / Double(1 << mantissaBits)
    let exponent = code >> mantissaBits & ((1 << matrix.exponentBits) - 1)
    let size = exponent == 0 ? mantissa * 0x1p-14 : (1 + mantissa) * power(exponent - 15)
    return code >> (matrix.bits - 1) == 1 ? -size : size
  }

  private func power(_ exponent: Int) -> Double {
    Double(sign: .plus, exponent: exponent, significand: 1)
  }

  /// With unit vectors as inputs the outputs are the weights: all codes in all four places of a step, exactly.
  @Test("all codes are restored exactly", arguments: ["generic"] + fasterProducts, kinds)
  func allCodes(name: String, kind: Kind) throws {
    let set = try products(name)
    var random = Generator(seed: 1)
    let count = 1 << kind.bits
    var matrix = LevelCodes(
      rows: 16, columns: 4 * count, bits: kind.bits, group: 1 << 20, kind: kind.kind,
      exponentBits: kind.exponentBits, using: &random)
    matrix.scales = [Float](repeating: 1, count: 16)
    for i in matrix.codes.indices {
      // Each code at every column mod 4, in another order in each row.
      let (row, column) = (i / matrix.stride, i % matrix.stride)
      matrix.codes[i] = UInt8(truncatingIfNeeded: (column / 4 + column % 4 + row) % count)
    }
    if kind.kind == halftone_levels_pairs {
      // Each value beside the mark of a victim, and each normal one beside 0.
      for i in Swift.stride(from: 0, to: matrix.codes.count, by: 4) {
        (matrix.codes[i + 1], matrix.codes[i + 2]) = (8, 8)
        matrix.codes[i + 3] = matrix.codes[i]
      }
    }
    let isInfinite = { (code: UInt8) in
      kind.kind == halftone_levels_floats && kind.exponentBits == 5
        && code >> (kind.bits - 6) & 31 == 31
    }
    for i in matrix.codes.indices where isInfinite(matrix.codes[i]) { matrix.codes[i] = 0 }
    for columns in [1, 3] {
      // One row of inputs at a time, and three.
      for start in Swift.stride(from: 0, to: matrix.columns - columns + 1, by: columns) {
        var x = [Float](repeating: 0, count: columns * matrix.columns)
        for r in 0..<columns { x[r * matrix.columns + start + r] = 1 }
        let found = matrix.product(set, x)
        for r in 0..<columns {
          for i in 0..<16 {
            #expect(Double(found[r * 19 + i]) == value(matrix, i, start + r))
          }
        }
      }
    }
  }

  @Test("more rows than a chunk holds", arguments: fasterProducts)
  func manyRows(name: String) throws {
    let (plain, set) = (try products("generic"), try products(name))
    var random = Generator(seed: 3)
    let matrix = LevelCodes(
      rows: 77, columns: 96, bits: 4, group: 32, kind: halftone_levels_table, exponentBits: 0,
      using: &random)
    let x = random.uniform(401 * 96)
    #expect(bits(matrix.product(set, x)) == bits(matrix.product(plain, x)))
  }
}
