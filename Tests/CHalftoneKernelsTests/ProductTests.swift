// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Testing

@Suite("Products with packed weights")
struct ProductTests {
  static let allBits = [2, 3, 4, 5, 6, 8]
  static let wholeRow = 1 << 20

  /// Calls `body` with matrices of `bits` bits of every group, type of scale, minima and table, in
  /// shapes that are no multiples of anything.
  private func forEachMatrix(
    bits: Int, _ body: (RandomMatrix, inout Generator) throws -> Void
  ) rethrows {
    var random = Generator(seed: UInt64(bits))
    for group in [16, 32, 64, 96, 128, Self.wholeRow] {
      for type in [halftone_scale_f32, halftone_scale_f16, halftone_scale_i8] {
        for (hasMinima, hasTable) in [(false, false), (true, false), (true, true)]
        where !hasTable || bits == 4 {
          // Beyond 512 columns sums are kept between spans.
          let columns = Int.random(in: 1...5, using: &random) == 1 ? 512...700 : 8...300
          let matrix = RandomMatrix(
            rows: Int.random(in: 1...70, using: &random),
            columns: Int.random(in: columns, using: &random), bits: bits, group: group,
            scaleType: type, hasMinima: hasMinima, hasTable: hasTable, using: &random)
          try body(matrix, &random)
        }
      }
    }
  }

  private func inputs(
    for matrix: RandomMatrix, rows: Int, using random: inout Generator
  ) throws -> RandomInputs {
    let group = try #require(
      [32, 64, 256, Self.wholeRow, Self.wholeRow].randomElement(using: &random))
    return RandomInputs(
      rows: rows, columns: matrix.columns, group: group,
      hasZeros: group >= matrix.columns && Bool.random(using: &random), by: try products("generic"),
      using: &random)
  }

  /// What a product writes for panels from `first` on, with three floats beside each row.
  private func result(
    _ set: halftone_products, _ inputs: RandomInputs, _ matrix: RandomMatrix, first: Int = 0
  ) -> [Float] {
    inputs.withInputs { x in
      matrix.withMatrix { w in
        withUnsafePointer(to: x) { x in
          withUnsafePointer(to: w) { w in
            output(inputs.rows * (matrix.rows + 3)) {
              set.product(x, w, first, matrix.panels - first, $0, matrix.rows + 3)
            }
          }
        }
      }
    }
  }

  private func floatResult(
    _ set: halftone_products, _ inputs: RandomInputs, _ matrix: RandomMatrix
  ) -> [Float] {
    matrix.withMatrix { w in
      withUnsafePointer(to: w) { w in
        output(inputs.rows * (matrix.rows + 3)) {
          set.float_product(
            inputs.floats, inputs.columns, inputs.rows, w, 0, matrix.panels, $0, matrix.rows + 3)
        }
      }
    }
  }

  /// The largest difference from the sum in double precision, relative to the sum of magnitudes.
  private func worstError(
    _ found: [Float], _ inputs: RandomInputs, _ matrix: RandomMatrix,
    _ input: (Int, Int) -> Double
  ) -> Double {
    var worst = 0.0
    for row in 0..<inputs.rows {
      for i in 0..<matrix.rows {
        var (sum, size) = (0.0, 0.0)
        for j in 0..<matrix.columns {
          let term = input(row, j) * matrix.element(i, j)
          sum += term
          size += term.magnitude
        }
        // The zeros' part is added apart, so it counts apart.
        if let zeros = inputs.zeros {
          let shift = Double(inputs.scales[row]) * Double(zeros[row])
          let exact = (0..<matrix.columns).reduce(0) { $0 + matrix.element(i, $1) }
          sum += shift * (exact - Double(matrix.rowSums[i]))
          size += (shift * exact).magnitude + (shift * Double(matrix.rowSums[i])).magnitude
        }
        let error = (Double(found[row * (matrix.rows + 3) + i]) - sum).magnitude
        worst = max(worst, error / max(size, 1e-30))
      }
    }
    return worst
  }

  // A sum of at most 44 segments in each of two floats' steps: 2⁻²⁴ each for scales and sums.
  @Test("the plain product is the product", arguments: allBits)
  func plainIsRight(bits: Int) throws {
    let set = try products("generic")
    try forEachMatrix(bits: bits) { matrix, random in
      let inputs = try inputs(for: matrix, rows: 2, using: &random)
      let found = result(set, inputs, matrix)
      #expect(
        worstError(found, inputs, matrix, inputs.value) < 1e-5, "\(matrix.description)")
    }
  }

  // Up to 700 additions in order, each off by at most 2⁻²⁴ of the sum of magnitudes.
  @Test("the plain product with floats is the product", arguments: allBits)
  func plainFloatIsRight(bits: Int) throws {
    let set = try products("generic")
    forEachMatrix(bits: bits) { matrix, random in
      let inputs = RandomInputs(
        rows: 2, columns: matrix.columns, group: Self.wholeRow, hasZeros: false, by: set,
        using: &random)
      let found = floatResult(set, inputs, matrix)
      let error = worstError(found, inputs, matrix) {
        Double(inputs.floats[$0 * matrix.columns + $1])
      }
      #expect(error < 700 * 0x1p-24, "\(matrix.description)")
    }
  }

  @Test("every set gives the plain product's bits", arguments: fasterProducts, allBits)
  func setsAgree(name: String, bits: Int) throws {
    let (plain, set) = (try products("generic"), try products(name))
    try forEachMatrix(bits: bits) { matrix, random in
      for rows in [1, 2, 3, 4, Int.random(in: 5...17, using: &random)] {
        let inputs = try inputs(for: matrix, rows: rows, using: &random)
        let first = Int.random(in: 0..<matrix.panels, using: &random)
        let what = "\(matrix.description), \(rows) rows, inputs in \(inputs.group)"
        #expect(
          patterns(result(set, inputs, matrix, first: first))
            == patterns(result(plain, inputs, matrix, first: first)), "\(what)")
        #expect(
          patterns(floatResult(set, inputs, matrix))
            == patterns(floatResult(plain, inputs, matrix)),
          "floats, \(what)")
      }
    }
  }

  @Test("more rows than a chunk holds", arguments: fasterProducts)
  func manyRows(name: String) throws {
    let (plain, set) = (try products("generic"), try products(name))
    var random = Generator(seed: 3)
    let matrix = RandomMatrix(
      rows: 37, columns: 70, bits: 4, group: 32, scaleType: halftone_scale_f16, hasMinima: true,
      hasTable: false, using: &random)
    let inputs = try inputs(for: matrix, rows: 541, using: &random)
    #expect(patterns(result(set, inputs, matrix)) == patterns(result(plain, inputs, matrix)))
    #expect(
      patterns(floatResult(set, inputs, matrix)) == patterns(floatResult(plain, inputs, matrix)))
  }

  @Test("dense products are the same in every set, and right", arguments: fasterProducts)
  func dense(name: String) throws {
    let (plain, set) = (try products("generic"), try products(name))
    var random = Generator(seed: 9)
    for (rows, columns, inputRows) in [(1, 1, 1), (40, 33, 1), (65, 130, 7), (17, 64, 13)] {
      let x = random.uniform(inputRows * columns)
      // Quarters are exact in every type.
      let count = (rows + 15) / 16 * 16 * columns
      let w = random.integers(count, -8...8).map { (i: Int) in Float(i) / 4 }
      let halves = w.map(half)
      let bfloats = w.map { UInt16($0.bitPattern >> 16) }
      func run(_ set: halftone_products, _ type: halftone_dense_type) -> [Float] {
        let elements =
          type == halftone_dense_f32
          ? w.withUnsafeBytes(Array.init)
          : (type == halftone_dense_f16 ? halves : bfloats).withUnsafeBytes(Array.init)
        return elements.withUnsafeBytes { bytes in
          var matrix = halftone_dense_matrix(
            rows: rows, columns: columns, type: type, elements: bytes.baseAddress)
          return output(inputRows * rows) {
            set.dense_product(x, columns, inputRows, &matrix, 0, (rows + 15) / 16, $0, rows)
          }
        }
      }
      let expected = run(plain, halftone_dense_f32)
      for type in [halftone_dense_f32, halftone_dense_f16, halftone_dense_bf16] {
        #expect(patterns(run(set, type)) == patterns(expected))
        #expect(patterns(run(plain, type)) == patterns(expected))
      }
      let exact = (0..<inputRows * rows).map { place in
        let (r, i) = (place / rows, place % rows)
        return (0..<columns).reduce(0.0) { sum, j in
          sum + Double(x[r * columns + j]) * Double(w[(i / 16 * columns + j) * 16 + i % 16])
        }
      }
      #expect(near(expected, exact, 1e-4))
    }
  }

  private func patterns(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }
}
