import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Products with square matrices in double precision, against three loops.
@Suite struct SquareMatrixProductTests {
  private func square(_ size: Int) -> SquareMatrix {
    SquareMatrix(size: size, elements: Matrix(normal([size, size], 7)).elements)
  }

  @Test(arguments: [1, 5, 48], [0, 1, 3, 300]) func appliedToRows(size: Int, rows: Int) {
    let a = square(size)
    let x = Matrix(normal([rows, size], 8))
    let exact = x.times(Matrix(rows: size, columns: size) { a[$0, $1] })
    let forms = a.quadraticForms(of: x.elements)
    #expect(forms.count == rows)
    for (found, expected) in zip(a.applied(to: x.elements), exact.elements) {
      #expect(abs(found - expected) <= 1e-12 * Double(size))
    }
    for i in 0..<rows {
      let expected = (0..<size).reduce(0) { $0 + exact[i, $1] * x[i, $1] }
      #expect(abs(forms[i] - expected) <= 1e-12 * Double(size * size))
    }
  }

  /// Eigenvalues 1…size on a diagonal, turned by a reflection: (I − 2vvᵀ)·D·(I − 2vvᵀ).
  @Test(arguments: [1, 2, 9]) func largestEigenvalue(size: Int) {
    let length = Double(size).squareRoot()
    let turn = Matrix(rows: size, columns: size) {
      ($0 == $1 ? 1 : 0) - 2 / length / length
    }
    let diagonal = Matrix(rows: size, columns: size) { $0 == $1 ? Double($0 + 1) : 0 }
    let a = SquareMatrix(
      size: size, elements: turn.times(diagonal).times(turn).elements)
    let found = a.largestEigenvalue(iterations: 200)
    #expect(abs(found - Double(size)) < 1e-6)
    #expect(a.largestEigenvalue(iterations: 3) <= Double(size) + 1e-9)
    #expect(SquareMatrix(zeros: size).largestEigenvalue() == 0)
  }

  @Test(arguments: [0, 1, 4096, 9000]) func productOfSamples(rows: Int) {
    let (x, y) = (normal([rows, 5], 1), normal([rows, 5], 2))
    var sum = SquareMatrix(zeros: 5).addingToDiagonal(2)
    sum.addProduct(of: x, y)
    let exact = Matrix(x).transposed.times(Matrix(y))
    for i in 0..<5 {
      for j in 0..<5 {
        let expected = exact[i, j] + (i == j ? 2 : 0)
        #expect(abs(sum[i, j] - expected) <= 2e-6 * Double(max(1, rows)))
      }
    }
  }

  @Test func differenceAndFiniteness() {
    let a = SquareMatrix(size: 2, elements: [5, 4, 3, 2])
    var b = SquareMatrix(size: 2, elements: [1, 2, 3, 4])
    #expect((a - b).elements == [4, 2, 0, -2])
    #expect(b.isFinite)
    b[1, 0] = .infinity
    #expect(!b.isFinite)
  }
}
