import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Products and their pullbacks against three loops in double precision.
@Suite struct ProductTests {
  struct Size: CustomTestStringConvertible, Sendable {
    let m: Int
    let n: Int
    let k: Int
    var testDescription: String { "[\(m), \(k)] · [\(k), \(n)]" }
  }

  /// All lengths from 1 to 67 in each place, in different company.
  static let small = (1...67).map { Size(m: $0, n: $0 * 23 % 67 + 1, k: $0 * 41 % 67 + 1) }
  /// More than one tile of 512 rows or 1,024 columns, and long sums.
  static let large = [
    Size(m: 513, n: 1025, k: 7), Size(m: 1030, n: 3, k: 19), Size(m: 1, n: 2051, k: 33),
    Size(m: 70, n: 65, k: 1500), Size(m: 1200, n: 130, k: 31),
  ]

  /// Any order of adding k products is within k roundings of the sum of their magnitudes.
  private func expectProduct(
    _ actual: Tensor, _ a: Matrix, _ b: Matrix, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(actual.rows == a.rows && actual.columns == b.columns, sourceLocation: sourceLocation)
    let (exact, bound) = (a.times(b), a.map { abs($0) }.times(b.map { abs($0) }))
    let unit = Double(a.columns + 1) * 0x1p-24
    let values = actual.values
    let failed = values.indices.filter {
      !(abs(Double(values[$0]) - exact.elements[$0]) <= unit * bound.elements[$0])
    }
    #expect(failed.isEmpty, "elements \(failed.prefix(5))", sourceLocation: sourceLocation)
  }

  @Test(arguments: small + large) func linearAndItsPullback(_ size: Size) {
    let x = normal([size.m, size.k], 1).tracked()
    let w = normal([size.n, size.k], 2).tracked()
    let g = normal([size.m, size.n], 3)
    let y = x.linear(w)
    let gradients = (y * g).sum().gradients(of: [x, w])
    let (dx, dw) = (gradients[0], gradients[1])
    expectProduct(y, Matrix(x), Matrix(w).transposed)
    expectProduct(dx, Matrix(g), Matrix(w))
    expectProduct(dw, Matrix(g).transposed, Matrix(x))
  }

  @Test(arguments: small + large) func matmulAndItsPullback(_ size: Size) {
    let a = normal([size.m, size.k], 4).tracked()
    let b = normal([size.k, size.n], 5).tracked()
    let g = normal([size.m, size.n], 6)
    let y = a.matmul(b)
    let gradients = (y * g).sum().gradients(of: [a, b])
    expectProduct(y, Matrix(a), Matrix(b))
    expectProduct(gradients[0], Matrix(g), Matrix(b).transposed)
    expectProduct(gradients[1], Matrix(a).transposed, Matrix(g))
  }

  /// Operands rounded to bfloat16, three tiles and their edges among them; sums in floats.
  @Test(arguments: [
    Size(m: 1, n: 1, k: 1), Size(m: 7, n: 33, k: 65), Size(m: 513, n: 200, k: 31),
    Size(m: 70, n: 65, k: 600),
  ])
  func linearInBFloat16(_ size: Size) {
    let x = normal([size.m, size.k], 1).tracked()
    let w = normal([size.n, size.k], 2).tracked()
    let g = normal([size.m, size.n], 3)
    let (y, gradients) = ProductPrecision.bfloat16.during {
      let y = x.linear(w)
      return (y, (y * g).sum().gradients(of: [x, w]))
    }
    func rounded(_ x: Tensor) -> Matrix { Matrix(x.converted(to: .bfloat16).float()) }
    expectProduct(y, rounded(x), rounded(w).transposed)
    expectProduct(gradients[0], rounded(g), rounded(w))
    expectProduct(gradients[1], rounded(g).transposed, rounded(x))
    #expect(x.linear(w).values != y.values)
    let alone = ThreadTests.withThreads(1) { ProductPrecision.bfloat16.during { x.linear(w) } }
    #expect(alone.hasSameBits(as: y))
  }

  @Test func leadingAxesStay() {
    let (x, w) = (normal([2, 3, 4], 7), normal([5, 4], 8))
    #expect(x.linear(w).shape == [2, 3, 5])
    #expect(x.linear(w).values == x.reshaped([6, 4]).linear(w).values)
    #expect(x.matmul(w.transposed()).shape == [2, 3, 5])
  }

  @Test func sumsOverNothingAreZero() {
    // The blocks that are freed here are the ones the empty products would be handed.
    for _ in 0..<4 { _ = Tensor(repeating: 7, shape: [64, 128]).values }
    let x = Tensor([], shape: [64, 0])
    let w = Tensor([], shape: [128, 0])
    for precision in ProductPrecision.allCases {
      #expect(precision.during { x.linear(w) }.values == [Float](repeating: 0, count: 64 * 128))
    }
    #expect(x.matmul(Tensor([], shape: [0, 128])).values.allSatisfy { $0 == 0 })
    let b = Tensor([], shape: [0, 128]).tracked()
    let gradient = (x.matmul(b) * 2).sum().gradients(of: [b])[0]
    #expect(gradient.shape == [0, 128])
  }

  @Test(arguments: [(0..<5, 0..<7), (2..<4, 1..<6), (0..<0, 0..<7)])
  func accumulateAddsAWindow(_ window: (rows: Range<Int>, columns: Range<Int>)) {
    let (rows, stride) = (130, 7)
    let a = Array(
      normal([rows, max(1, window.rows.count)], 9).values.prefix(rows * window.rows.count))
    let b = normal([5, stride], 10)
    let start = normal([rows, stride], 11)
    let (old, factors) = (start.values, b.values)
    let result = Tensor(shape: start.shape) { out in
      start.withElements { _ = out.update(from: $0) }
      MatrixProduct.accumulate(
        -0.5, a, rows: rows, factors, rowStride: stride, in: window.rows,
        columns: window.columns, into: out)
    }
    let expected = Matrix(rows: rows, columns: stride) { i, j in
      let before = Double(old[i * stride + j])
      guard window.columns.contains(j) else { return before }
      return window.rows.enumerated().reduce(before) { sum, row in
        sum - 0.5 * Double(a[i * window.rows.count + row.offset])
          * Double(factors[row.element * stride + j])
      }
    }
    expectClose(result, expected, tolerance: 1e-6)
  }
}

extension ThreadTests {
  @Test(arguments: [
    ProductTests.Size(m: 70, n: 65, k: 700), ProductTests.Size(m: 1030, n: 1100, k: 40),
    ProductTests.Size(m: 64, n: 3000, k: 33), ProductTests.Size(m: 1, n: 4000, k: 600),
  ]) func productsDoNotDependOnThreads(_ size: ProductTests.Size) {
    let x = normal([size.m, size.k], 12).tracked()
    let w = normal([size.n, size.k], 13).tracked()
    let b = normal([size.k, size.n], 14).tracked()
    ThreadTests.expectSameBits {
      let (y, z) = (x.linear(w), x.matmul(b))
      return [y, z] + (y * z).sum().gradients(of: [x, w, b])
    }
  }
}
