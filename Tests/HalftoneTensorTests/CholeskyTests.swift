import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Factorisations by what defines them: residuals of a few roundings of the matrix's size.
@Suite struct CholeskyTests {
  static let sizes = [1, 2, 3, 5, 16, 17, 67, 130]

  /// X·Xᵀ/n + I, well conditioned.
  private func positive(_ size: Int) -> SquareMatrix {
    let x = Matrix(normal([size, size], UInt64(size)))
    let gram = x.times(x.transposed)
    return SquareMatrix(size: size, elements: gram.elements.map { $0 / Double(size) })
      .addingToDiagonal(1)
  }

  private func matrix(_ a: SquareMatrix) -> Matrix {
    Matrix(rows: a.size, columns: a.size) { a[$0, $1] }
  }

  private func expectEqual(
    _ a: Matrix, _ b: Matrix, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let largest = b.elements.map { abs($0) }.max() ?? 0
    let worst = zip(a.elements, b.elements).map { abs($0 - $1) }.max() ?? 0
    #expect(worst <= 1e-13 * Double(a.rows) * largest, sourceLocation: sourceLocation)
  }

  private func identity(_ size: Int) -> Matrix {
    Matrix(rows: size, columns: size) { $0 == $1 ? 1 : 0 }
  }

  @Test(arguments: sizes) func choleskyFactorsTheLowerTriangle(_ size: Int) throws {
    let a = positive(size)
    var half = a
    for i in 0..<size { for j in i + 1..<max(i + 1, size) { half[i, j] = .nan } }
    let l = matrix(try half.cholesky())
    expectEqual(l.times(l.transposed), matrix(a))
    for i in 0..<size {
      #expect(l[i, i] > 0)
      for j in i + 1..<max(i + 1, size) { #expect(l[i, j] == 0) }
    }
  }

  @Test(arguments: sizes) func inverseTimesMatrixIsIdentity(_ size: Int) throws {
    let a = positive(size)
    let inverse = matrix(try a.positiveDefiniteInverse())
    expectEqual(inverse.times(matrix(a)), identity(size))
    #expect(inverse.elements == inverse.transposed.elements)
  }

  @Test(arguments: sizes) func upperFactorOfInverse(_ size: Int) throws {
    let a = positive(size)
    let u = matrix(try a.upperFactorOfInverse())
    expectEqual(u.transposed.times(u).times(matrix(a)), identity(size))
    for i in 0..<size { for j in 0..<i { #expect(u[i, j] == 0) } }
  }

  @Test(arguments: sizes) func triangularSolve(_ size: Int) throws {
    let l = try positive(size).cholesky()
    let b = Matrix(normal([size, 1], 99))
    let x = Matrix(rows: size, columns: 1) { i, _ in l.solvingLowerTriangular(b.elements)[i] }
    expectEqual(matrix(l).times(x), b)
  }

  @Test func closedForm() throws {
    // [[4, 2], [2, 5]] = L·Lᵀ with L = [[2, 0], [1, 2]]; its inverse is [[5, −2], [−2, 4]]/16.
    let a = SquareMatrix(size: 2, elements: [4, 2, 2, 5])
    #expect(try a.cholesky().elements == [2, 0, 1, 2])
    #expect(try a.positiveDefiniteInverse().elements == [0.3125, -0.125, -0.125, 0.25])
    #expect(a.diagonalMean == 4.5)
    #expect(a.addingToDiagonal(1).elements == [5, 2, 2, 6])
  }

  /// The pivot that all factorisations of `a` report, and that of the upper factor, found from the
  /// last column on.
  private func expectPivot(
    _ pivot: Int, upper: Int? = nil, of a: SquareMatrix,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    for (factorization, pivot) in [
      ({ try $0.cholesky() }, pivot), ({ try $0.positiveDefiniteInverse() }, pivot),
      ({ try $0.upperFactorOfInverse() }, upper ?? pivot),
    ] as [((SquareMatrix) throws -> SquareMatrix, Int)] {
      let error = #expect(throws: FactorizationError.self, sourceLocation: sourceLocation) {
        try factorization(a)
      }
      #expect(error?.pivot == pivot, sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: [1, 2, 7, 64, 100]) func pivotOfAnIndefiniteMatrix(_ pivot: Int) {
    for value in [-1.0, 0] {
      var a = SquareMatrix(zeros: 100).addingToDiagonal(1)
      a[pivot - 1, pivot - 1] = value
      expectPivot(pivot, of: a)
    }
  }

  @Test(arguments: [Double.nan, .infinity, -.infinity], [(0, 0), (4, 1), (70, 70), (99, 3)])
  func numbersThatAreNotFinite(_ value: Double, at place: (Int, Int)) {
    var a = SquareMatrix(zeros: 100).addingToDiagonal(1)
    a[place.0, place.1] = value
    expectPivot(place.0 + 1, upper: place.1 + 1, of: a)
  }

  @Test func errorSaysWhatToDo() {
    let error = #expect(throws: FactorizationError.self) { try SquareMatrix(zeros: 3).cholesky() }
    #expect(
      error?.description
        == "the matrix is not positive definite at column 1; raise the damping or add samples")
  }

  @Test func emptyMatrix() throws {
    let empty = SquareMatrix(zeros: 0)
    #expect(try empty.cholesky() == empty && empty.positiveDefiniteInverse() == empty)
    #expect(empty.solvingLowerTriangular([]).isEmpty && empty.diagonalMean == 0)
  }

  @Test func permutedTakesRowsAndColumns() {
    let a = SquareMatrix(size: 3, elements: [0, 1, 2, 3, 4, 5, 6, 7, 8])
    #expect(a.permuted([2, 0, 1]).elements == [8, 6, 7, 2, 0, 1, 5, 3, 4])
    #expect(a.permuted([2, 0, 1]).permuted([1, 2, 0]) == a)
  }

  /// Pieces of 4,096 rows: one short, one exact, several.
  @Test(arguments: [0, 1, 4096, 9000]) func gramOfSamples(_ rows: Int) {
    let x = normal([rows, 9], UInt64(rows))
    var gram = SquareMatrix(zeros: 9).addingToDiagonal(2)
    gram.addGram(of: x)
    let exact = Matrix(x).transposed.times(Matrix(x))
    for i in 0..<9 {
      for j in 0..<9 {
        let expected = exact[i, j] + (i == j ? 2 : 0)
        #expect(abs(gram[i, j] - expected) <= 2e-6 * Double(max(1, rows)))
        #expect(gram[i, j] == gram[j, i])
      }
    }
  }
}

extension ThreadTests {
  @Test func gramDoesNotDependOnThreads() {
    let x = normal([5000, 70], 1)
    let grams = [1, 2, 3].map { threads in
      ThreadTests.withThreads(threads) {
        var gram = SquareMatrix(zeros: 70)
        gram.addGram(of: x)
        return gram
      }
    }
    #expect(grams[1] == grams[0] && grams[2] == grams[0])
  }
}
