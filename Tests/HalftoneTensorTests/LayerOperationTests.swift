import Foundation
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// The operations of a transformer's layers against their formulas in double precision.
@Suite struct LayerOperationTests {
  /// Widths around the sixteen lanes of a sum, and rows in more than one range of a loop.
  static let shapes = [
    [1, 1], [3, 2], [5, 15], [4, 16], [2, 17], [7, 67], [70, 768], [2, 20000],
  ]

  @Test(arguments: shapes) func rmsNorm(_ shape: [Int]) {
    let width = shape[1]
    let (x, w, g) = (normal(shape, 1).tracked(), normal([width], 2).tracked(), normal(shape, 3))
    let epsilon: Float = 1e-5
    let y = x.rmsNorm(w, epsilon: epsilon)
    let gradients = (y * g).sum().gradients(of: [x, w])
    let (a, u) = (Matrix(x), Matrix(g))
    let weight = w.values.map(Double.init)
    var (expected, dx) = (a, a)
    var dw = Matrix(rows: 1, columns: width)
    for i in 0..<a.rows {
      let square = (0..<width).reduce(0) { $0 + a[i, $1] * a[i, $1] } / Double(width)
      let r = 1 / (square + Double(epsilon)).squareRoot()
      let dot = (0..<width).reduce(0) { $0 + weight[$1] * u[i, $1] * a[i, $1] }
      for j in 0..<width {
        expected[i, j] = a[i, j] * r * weight[j]
        dx[i, j] = r * weight[j] * u[i, j] - a[i, j] * r * r * r / Double(width) * dot
        dw[0, j] += u[i, j] * a[i, j] * r
      }
    }
    expectClose(y, expected, tolerance: 1e-6)
    // A row of one element is normalised to its sign, whose derivative cancels to about ε.
    if width > 1 { expectClose(gradients[0], dx, tolerance: 2e-6) }
    expectClose(gradients[1], dw, tolerance: 2e-6)
  }

  @Test func rmsNormOfHeads() {
    let (x, w) = (normal([3, 4 * 8], 4), normal([8], 5))
    let byHead = x.reshaped([12, 8]).rmsNorm(w, epsilon: 1e-6).reshaped([3, 32])
    #expect(bits(x.rmsNorm(w, epsilon: 1e-6)) == bits(byHead))
  }

  @Test func rotaryTurnsPairsByTheirAngle() {
    // Two sequences of three positions, two heads of width 6: halves of 3.
    let (half, period) = (3, 3)
    let angles = Matrix(rows: period, columns: half) {
      Double($0) * pow(100, -Double($1) / 3) + 0.1
    }
    let cosine = Tensor(angles.elements.map { Float(cos($0)) }, shape: [period, half])
    let sine = Tensor(angles.elements.map { Float(sin($0)) }, shape: [period, half])
    let (x, g) = (normal([6, 12], 6).tracked(), normal([6, 12], 7))
    let y = x.rotary(cosine: cosine, sine: sine)
    func turned(_ x: Matrix, _ sign: Double) -> Matrix {
      Matrix(rows: 6, columns: 12) { i, j in
        let (head, place) = (j / 6 * 6, j % 6)
        let angle = sign * angles[i % period, place % half]
        let (first, second) = (x[i, head + place % half], x[i, head + half + place % half])
        return place < half
          ? first * cos(angle) - second * sin(angle) : second * cos(angle) + first * sin(angle)
      }
    }
    expectClose(y, turned(Matrix(x), 1), tolerance: 1e-6)
    let gradient = (y * g).sum().gradients(of: [x])[0]
    expectClose(gradient, turned(Matrix(g), -1), tolerance: 1e-6)
  }

  @Test func embeddingTakesRowsAndAddsTheirGradients() {
    let (table, g) = (normal([7, 33], 8).tracked(), normal([5, 33], 9))
    let ids = [6, 0, 3, 0, 0]
    let y = table.embedding(ids)
    #expect(y.values == ids.flatMap { table.detached.view($0..<$0 + 1).values })
    let gradient = (y * g).sum().gradients(of: [table])[0]
    let expected = Matrix(rows: 7, columns: 33) { row, j in
      ids.indices.reduce(0) { $0 + (ids[$1] == row ? Double(g.values[$1 * 33 + j]) : 0) }
    }
    expectClose(gradient, expected, tolerance: 1e-6)
    #expect(table.embedding([]).shape == [0, 33])
  }

  @Test(arguments: [1, 15, 16, 67, 40000]) func siluMultiply(_ count: Int) {
    let gate = (normal([count], 10) * 4).tracked()
    let (up, g) = (normal([count], 11).tracked(), normal([count], 12))
    let y = Tensor.siluMultiply(gate: gate, up: up)
    let gradients = (y * g).sum().gradients(of: [gate, up])
    let (a, b, u) = (Matrix(gate), Matrix(up), Matrix(g))
    let s = a.map { 1 / (1 + exp(-$0)) }
    func each(_ value: (Int) -> Double) -> Matrix {
      Matrix(rows: 1, columns: count) { value($1) }
    }
    expectClose(
      y, each { a.elements[$0] * s.elements[$0] * b.elements[$0] }, tolerance: 1e-6)
    expectClose(
      gradients[0],
      each { i in
        let sigma = s.elements[i]
        return u.elements[i] * b.elements[i] * sigma * (1 + a.elements[i] * (1 - sigma))
      }, tolerance: 1e-6)
    expectClose(
      gradients[1], each { u.elements[$0] * a.elements[$0] * s.elements[$0] }, tolerance: 1e-6)
  }

  @Test func addRowAndItsSums() {
    let (x, b, g) = (normal([70, 300], 13), normal([300], 14).tracked(), normal([70, 300], 15))
    let y = x.addingRow(b)
    let (values, row) = (x.values, b.values)
    #expect(y.values == values.indices.map { values[$0] + row[$0 % 300] })
    let expected = Matrix(rows: 1, columns: 70) { _, _ in 1 }.times(Matrix(g))
    expectClose((y * g).sum().gradients(of: [b])[0], expected, tolerance: 1e-6)
  }

  @Test(arguments: [1, 16385, 100_003]) func sumsAndErrors(_ count: Int) {
    let (x, t) = (normal([count], 16), normal([count], 17))
    let (a, b) = (Matrix(x).elements, Matrix(t).elements)
    let magnitude = a.reduce(0) { $0 + abs($1) }
    #expect(abs(Double(x.sum().scalar) - a.reduce(0, +)) <= 1e-6 * magnitude)
    #expect(abs(Double(x.mean().scalar) - a.reduce(0, +) / Double(count)) <= 1e-6)
    let squares = zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / 3
    expectClose([x.squaredError(to: t, dividedBy: 3).scalar], [Float(squares)], tolerance: 1e-6)
  }
}
