import Foundation
import HalftoneTensor
import HalftoneTestSupport
import Testing

extension OperationGradientTests {
  /// Ŵ = s·(clamp(round(n) + z) − z) with the roundings replaced by adding their residues at the point.
  private struct Relaxation {
    let bounds = (low: -4.0, high: 3.0)

    func callAsFunction(
      at point: (s: Double, n: Double, z: Double), _ moved: (s: Double, n: Double, z: Double)
    ) -> Double {
      func residue(_ x: Double) -> Double { x.rounded(.toNearestOrEven) - x }
      let code = point.n.rounded(.toNearestOrEven) + point.z.rounded(.toNearestOrEven)
      let clamped = min(max(code, bounds.low), bounds.high)
      if clamped == code { return moved.s * (moved.n + residue(point.n)) }
      return moved.s * (clamped - (moved.z + residue(point.z)))
    }
  }

  /// The gradients against central differences of `parts`, which gives s, n and z of an element.
  private func compare(
    _ gradients: [Tensor], at leaves: [Tensor], upstream: Tensor,
    _ parts: ([[Double]], Int) -> (s: Double, n: Double, z: Double)
  ) {
    let (relaxation, point) = (Relaxation(), leaves.map { $0.values.map(Double.init) })
    let g = upstream.values.map(Double.init)
    for (which, gradient) in gradients.enumerated() {
      let expected = point[which].indices.map { i in
        Float(
          derivative { step in
            var moved = point
            moved[which][i] += step
            return g.indices.reduce(0) {
              $0 + g[$1] * relaxation(at: parts(point, $1), parts(moved, $1))
            }
          })
      }
      // Sums of terms of either sign, for the factors of a grid.
      expectClose(gradient.values, expected, tolerance: gradient.count < g.count ? 1e-4 : 1e-5)
    }
  }

  func checkSignRound(_ seed: UInt64, symmetric: Bool, table: [Int]) {
    let (rows, columns) = (4, 6)
    let (w, upstream) = (normal([rows, columns], seed), normal([rows, columns], seed &+ 4))
    let cells = table[0] * table[1]
    let zero: Float = symmetric ? 0 : -1
    let grid = GridTable(
      scales: Tensor((0..<cells).map { 0.35 + 0.05 * Float($0) }, shape: table),
      zeros: Tensor(repeating: zero, shape: table), low: -4, high: 3)
    func factors(_ by: Float) -> Tensor {
      Tensor((0..<cells).map { 0.7 + by * Float($0) }, shape: table).tracked()
    }
    let v = normal([rows, columns], seed &+ 1).clamped(to: -0.5...0.5).tracked()
    let (upper, lower) = (factors(0.03), symmetric ? nil : factors(0.07))
    let leaves = [v, upper] + [lower].compactMap { $0 }
    let y = w.signRounded(grid, v: v, lower: lower, upper: upper)
    let steps = grid.scales.values.map(Double.init)
    compare((y * upstream).sum().gradients(of: leaves), at: leaves, upstream: upstream) { p, e in
      let cell = (table[0] == 1 ? 0 : e / columns) * table[1] + e % columns / (columns / table[1])
      var (s, z) = (steps[cell] * p[1][cell], 0.0)
      if !symmetric {
        let low = p[2][cell] * (-4 - Double(zero)) * steps[cell]
        s = (p[1][cell] * (3 - Double(zero)) * steps[cell] - low) / 7
        z = -4 - low / s
      }
      return (s, Double(w.values[e]) / s + p[0][e], z)
    }
  }

  func checkPerturbedRound(_ seed: UInt64, table: [Int]) {
    let (rows, columns) = (4, 6)
    let (w, upstream) = (normal([rows, columns], seed), normal([rows, columns], seed &+ 4))
    let cells = table[0] * table[1]
    let grid = GridTable(
      scales: Tensor((0..<cells).map { 0.35 + 0.05 * Float($0) }, shape: table),
      zeros: Tensor(repeating: -1, shape: table), low: -4, high: 3)
    let logStep = (normal(table, seed &+ 1) * 0.1).tracked()
    let v = normal([rows, columns], seed &+ 2).tracked()
    let y = w.perturbedRounded(grid, logStep: logStep, v: v)
    let steps = grid.scales.values.map(Double.init)
    let gradients = (y * upstream).sum().gradients(of: [logStep, v])
    compare(gradients, at: [logStep, v], upstream: upstream) { p, e in
      let cell = (table[0] == 1 ? 0 : e / columns) * table[1] + e % columns / (columns / table[1])
      let s = steps[cell] * exp(p[0][cell])
      return (s, (Double(w.values[e]) + steps[cell] * p[1][e]) / s, -1)
    }
  }
}
