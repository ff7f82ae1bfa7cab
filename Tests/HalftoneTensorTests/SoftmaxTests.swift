import Foundation
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Softmax and the objectives built on it against their formulas in double precision.
@Suite struct SoftmaxTests {
  static let shapes = [
    [1, 1], [3, 2], [5, 15], [4, 16], [2, 17], [7, 67], [70, 768], [2, 20000],
  ]

  /// ln softmax of each row.
  private func logSoftmax(_ x: Matrix) -> Matrix {
    var result = x
    for i in 0..<x.rows {
      let row = (0..<x.columns).map { x[i, $0] }
      let largest = row.max() ?? 0
      let normalizer = largest + log(row.reduce(0) { $0 + exp($1 - largest) })
      for j in 0..<x.columns { result[i, j] -= normalizer }
    }
    return result
  }

  /// Gradients of logits: within 10⁻⁶ of the upstream's size, as they may all but vanish.
  private func expectGradient(
    _ actual: Tensor, _ expected: Matrix, scale: Double,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let worst = zip(actual.values, expected.elements).map { abs(Double($0) - $1) }.max() ?? 0
    #expect(worst <= 2e-6 * scale, sourceLocation: sourceLocation)
  }

  @Test(arguments: shapes) func softmaxAndItsLogarithm(_ shape: [Int]) {
    let (x, g) = ((normal(shape, 1) * 4).tracked(), normal(shape, 2))
    let log = logSoftmax(Matrix(x))
    let (p, u) = (log.map { exp($0) }, Matrix(g))
    expectClose(x.softmax(), p, tolerance: 2e-6)
    expectClose(x.logSoftmax(), log, tolerance: 1e-6)
    var (dSoftmax, dLog) = (p, p)
    for i in 0..<p.rows {
      let dot = (0..<p.columns).reduce(0) { $0 + p[i, $1] * u[i, $1] }
      let total = (0..<p.columns).reduce(0) { $0 + u[i, $1] }
      for j in 0..<p.columns {
        dSoftmax[i, j] = p[i, j] * (u[i, j] - dot)
        dLog[i, j] = u[i, j] - p[i, j] * total
      }
    }
    let spread = Double(shape[1]).squareRoot()
    expectGradient((x.softmax() * g).sum().gradients(of: [x])[0], dSoftmax, scale: 4)
    expectGradient((x.logSoftmax() * g).sum().gradients(of: [x])[0], dLog, scale: 4 * spread)
  }

  @Test(arguments: shapes) func crossEntropy(_ shape: [Int]) {
    let x = (normal(shape, 3) * 4).tracked()
    let targets = (0..<shape[0]).map { $0 * 31 % shape[1] }
    let log = logSoftmax(Matrix(x))
    let expected = targets.indices.reduce(0) { $0 - log[$1, targets[$1]] } / Double(shape[0])
    let loss = x.crossEntropy(targets: targets)
    #expect(abs(Double(loss.scalar) - expected) <= 2e-6 * max(1, expected))
    let gradient = Matrix(rows: shape[0], columns: shape[1]) { i, j in
      (exp(log[i, j]) - (j == targets[i] ? 1 : 0)) / Double(shape[0])
    }
    expectGradient(loss.gradients(of: [x])[0], gradient, scale: 1 / Double(shape[0]))
    let each = x.negativeLogLikelihoods(targets: targets)
    for (i, likelihood) in each.enumerated() {
      #expect(abs(likelihood + log[i, targets[i]]) <= 4e-6 * max(1, -log[i, targets[i]]))
    }
  }

  @Test(arguments: shapes) func klDivergence(_ shape: [Int]) {
    let x = (normal(shape, 4) * 2).tracked()
    let reference = normal(shape, 5) * 2
    let (q, p) = (logSoftmax(Matrix(x)), logSoftmax(Matrix(reference)))
    let rows = (0..<shape[0]).map { i in
      (0..<shape[1]).reduce(0) { $0 + exp(p[i, $1]) * (p[i, $1] - q[i, $1]) }
    }
    let expected = rows.reduce(0, +) / Double(shape[0])
    let divergence = x.klDivergence(from: reference)
    #expect(abs(Double(divergence.scalar) - expected) <= 1e-5 * max(1, expected))
    let gradient = Matrix(rows: shape[0], columns: shape[1]) { i, j in
      (exp(q[i, j]) - exp(p[i, j])) / Double(shape[0])
    }
    expectGradient(divergence.gradients(of: [x])[0], gradient, scale: 1 / Double(shape[0]))
    for (actual, row) in zip(x.klDivergences(from: reference), rows) {
      #expect(abs(actual - row) <= 2e-6 * row + 1e-12)
    }
  }

  /// Networks that hardly differ: KL is half the variance of the difference, to third order.
  @Test func smallDivergencesKeepTheirDigits() {
    let reference = normal([3, 5000], 6) * 2
    let x = Tensor(
      zip(reference.values, normal([3, 5000], 7).values).map { $0 + 1e-3 * $1 }, shape: [3, 5000])
    let (q, p) = (logSoftmax(Matrix(x)), logSoftmax(Matrix(reference)))
    for (i, actual) in x.klDivergences(from: reference).enumerated() {
      // Compensated in pairs: p·(e^d − 1 − d) has no terms that cancel.
      let expected = (0..<5000).reduce(0.0) { sum, j in
        let d = q[i, j] - p[i, j]
        return sum + exp(p[i, j]) * (expm1(d) - d)
      }
      #expect(abs(actual - expected) <= 1e-5 * expected)
    }
  }

  @Test func largeLogitsStayFinite() {
    let x = Tensor([1e30, -1e30, 0, 3e38, 3e38, -3e38], shape: [2, 3])
    #expect(x.softmax().values == [1, 0, 0, 0.5, 0.5, 0])
    #expect(x.crossEntropy(targets: [0, 1]).scalar.isFinite)
  }

  @Test func largestIndexIsTheFirstOfEquals() {
    let x = Tensor([1, 3, 3, -2, -1, -1, 0, 0, 0], shape: [3, 3])
    #expect(x.largestIndices() == [1, 1, 0])
  }
}
