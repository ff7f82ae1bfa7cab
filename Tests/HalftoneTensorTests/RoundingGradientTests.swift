import Foundation
import HalftoneTensor
import HalftoneTestSupport
import Testing

func cosineOf(_ x: Float) -> Double { cos(Double(x)) }
func sineOf(_ x: Float) -> Double { sin(Double(x)) }

/// The straight-through gradients against central differences, in `Double`, of the relaxation in which
/// each rounding is replaced by adding the residue it had at the point of interest.
extension OperationGradientTests {
  func checkRounding(_ operation: TensorOperation, _ seed: UInt64) {
    switch operation {
    case .round:
      let x = normal([12], seed).tracked()
      let g = normal([12], seed &+ 9)
      #expect((x.rounded() * g).sum().gradients(of: [x])[0].values == g.values)
    case .fakeQuantize: checkFakeQuantize(seed)
    case .fakeQuantizeTokens:
      let x = normal([3, 8], seed).tracked()
      let g = normal([3, 8], seed &+ 9)
      // The grid covers its row, whose largest positive value a symmetric one puts half a step too high.
      for symmetric in [false, true] {
        let rounded = x.fakeQuantizedTokens(bits: 4, symmetric: symmetric)
        #expect((rounded * g).sum().gradients(of: [x])[0].values == g.values)
      }
    case .flexRound:
      checkFlexRound(seed, tableRows: 1, groups: 1, zero: 0)
      checkFlexRound(seed, tableRows: 4, groups: 1, zero: 0)
      checkFlexRound(seed, tableRows: 4, groups: 2, zero: -3)
    case .adaRound: checkAdaRound(seed)
    case .signRound:
      checkSignRound(seed, symmetric: true, table: [1, 1])
      checkSignRound(seed, symmetric: true, table: [4, 2])
      checkSignRound(seed, symmetric: false, table: [4, 1])
    case .perturbedRound:
      checkPerturbedRound(seed, table: [1, 1])
      checkPerturbedRound(seed, table: [4, 2])
    default: Issue.record("no check for \(operation)")
    }
  }

  func normal(_ shape: [Int], _ seed: UInt64) -> Tensor {
    var generator = SeededGenerator(seed: seed)
    return .normal(shape: shape, using: &generator)
  }

  func derivative(_ f: (Double) -> Double) -> Double { (f(1e-5) - f(-1e-5)) / 2e-5 }

  private func checkFakeQuantize(_ seed: UInt64) {
    let (x, g) = (normal([40], seed), normal([40], seed &+ 9))
    let (step, leaf) = (Tensor([0.3]).tracked(), x.tracked())
    let (zero, low, high) = (1.0, -4.0, 3.0)
    let y = leaf.fakeQuantized(step: step, zero: 1, low: -4, high: 3, gradientScale: 0.5)
    let gradients = (y * g).sum().gradients(of: [leaf, step])
    let values = x.values.map(Double.init)
    func relaxed(_ i: Int, _ dx: Double, _ ds: Double) -> Double {
      let s = Double(Float(0.3))
      let residue = (values[i] / s).rounded(.toNearestOrEven) - values[i] / s
      let code = (values[i] / s).rounded(.toNearestOrEven) + zero
      if code < low || code > high { return (min(max(code, low), high) - zero) * (s + ds) }
      return ((values[i] + dx) / (s + ds) + residue) * (s + ds)
    }
    let upstream = g.values.map(Double.init)
    expectClose(
      gradients[0].values,
      values.indices.map { i in Float(upstream[i] * derivative { relaxed(i, $0, 0) }) },
      tolerance: 1e-5)
    let ds = values.indices.reduce(0) { sum, i in
      sum + upstream[i] * derivative { relaxed(i, 0, $0) }
    }
    expectClose(gradients[1].values, [Float(0.5 * ds)], tolerance: 1e-5)
  }

  private func checkFlexRound(_ seed: UInt64, tableRows: Int, groups: Int, zero: Float) {
    let (rows, columns) = (4, 6)
    let w = normal([rows, columns], seed)
    let table = [tableRows, groups]
    let grid = GridTable(
      scales: Tensor((0..<tableRows * groups).map { 0.35 + 0.05 * Float($0) }, shape: table),
      zeros: Tensor(repeating: zero, shape: table), low: -4, high: 3)
    let start = [
      normal(table, seed &+ 1) * 0.1, normal([rows, columns], seed &+ 2) * 0.1,
      normal([rows], seed &+ 3) * 0.1,
    ]
    let leaves = start.map { $0.tracked() }
    let g = normal([rows, columns], seed &+ 4)
    let y = w.flexRounded(grid, logStep: leaves[0], v2: leaves[1], v3: leaves[2])
    let gradients = (y * g).sum().gradients(of: leaves)
    let point = start.map { $0.values.map(Double.init) }
    let (weights, upstream) = (w.values.map(Double.init), g.values.map(Double.init))
    let steps = grid.scales.values.map(Double.init)
    func relaxed(_ p: [[Double]]) -> Double {
      (0..<rows * columns).reduce(0) { total, e in
        let row = e / columns
        let cell = (tableRows == 1 ? 0 : row) * groups + e % columns / (columns / groups)
        func quotient(_ p: [[Double]]) -> Double {
          weights[e] / (steps[cell] * exp(p[0][cell] + p[1][e] + p[2][row]))
        }
        let n = quotient(point)
        let code = n.rounded(.toNearestOrEven)
        let bounds = (-4 - Double(zero), 3 - Double(zero))
        let clamped = min(max(code, bounds.0), bounds.1)
        let c = clamped == code ? quotient(p) + code - n : clamped
        return total + upstream[e] * steps[cell] * exp(p[0][cell]) * c
      }
    }
    for (which, gradient) in gradients.enumerated() {
      let expected = point[which].indices.map { i in
        Float(
          derivative { step in
            var p = point
            p[which][i] += step
            return relaxed(p)
          })
      }
      // s1·C·G and gZ nearly cancel in the step's gradient, which leaves 1e-4 of single precision.
      expectClose(gradient.values, expected, tolerance: which == 0 ? 2e-4 : 1e-5)
    }
  }

  private func checkAdaRound(_ seed: UInt64) {
    let w = normal([4, 6], seed)
    let grid = GridTable(
      scales: Tensor([0.4], shape: [1, 1]), zeros: Tensor([0], shape: [1, 1]), low: -4, high: 3)
    // Away from where h saturates.
    let v = normal([4, 6], seed &+ 1).clamped(to: -2...2)
    checkGradient(at: [v * 0.5], seed: seed) { w.adaRounded(grid, v: $0[0]) }
    checkGradient(at: [v + Tensor(repeating: 0.01, shape: v.shape)], seed: seed, tolerance: 1e-2) {
      $0[0].adaRoundPenalty(weight: 0.7, exponent: 3)
    }
    for hard in [false, true] {
      checkAdaRoundStep(seed, tableRows: 1, groups: 1, zero: 0, hard: hard)
      checkAdaRoundStep(seed, tableRows: 4, groups: 2, zero: -3, hard: hard)
    }
  }

  /// floor(W/s) as W/s + what was missing, and a hard share as h(V) + what was missing.
  private func checkAdaRoundStep(
    _ seed: UInt64, tableRows: Int, groups: Int, zero: Float, hard: Bool
  ) {
    let (rows, columns) = (4, 6)
    let w = normal([rows, columns], seed)
    let table = [tableRows, groups]
    let grid = GridTable(
      scales: Tensor((0..<tableRows * groups).map { 0.35 + 0.05 * Float($0) }, shape: table),
      zeros: Tensor(repeating: zero, shape: table), low: -4, high: 3)
    let start = [
      normal([rows, columns], seed &+ 1).clamped(to: -2...2), normal(table, seed &+ 2) * 0.1,
    ]
    let leaves = start.map { $0.tracked() }
    let g = normal([rows, columns], seed &+ 4)
    let y = w.adaRounded(grid, v: leaves[0], logStep: leaves[1], hard: hard)
    let gradients = (y * g).sum().gradients(of: leaves)
    let point = start.map { $0.values.map(Double.init) }
    let (weights, upstream) = (w.values.map(Double.init), g.values.map(Double.init))
    let steps = grid.scales.values.map(Double.init)
    func relaxed(_ p: [[Double]]) -> Double {
      (0..<rows * columns).reduce(0) { total, e in
        let cell = (tableRows == 1 ? 0 : e / columns) * groups + e % columns / (columns / groups)
        func step(_ p: [[Double]]) -> Double { steps[cell] * exp(p[1][cell]) }
        func code(_ p: [[Double]]) -> Double {
          weights[e] / step(p) + min(max(1.2 / (1 + exp(-p[0][e])) - 0.1, 0), 1)
        }
        let quotient = weights[e] / step(point)
        let share = code(point) - quotient
        let value = quotient.rounded(.down) + (hard ? (point[0][e] >= 0 ? 1 : 0) : share)
        let clamped = min(max(value, -4 - Double(zero)), 3 - Double(zero))
        let c = clamped == value ? code(p) + value - code(point) : clamped
        return total + upstream[e] * step(p) * c
      }
    }
    for (which, gradient) in gradients.enumerated() {
      let expected = point[which].indices.map { i in
        Float(
          derivative { step in
            var p = point
            p[which][i] += step
            return relaxed(p)
          })
      }
      // s·C·G and W·G nearly cancel in the step's gradient, which leaves 1e-4 of single precision.
      expectClose(gradient.values, expected, tolerance: which == 1 ? 2e-4 : 1e-5)
    }
  }
}
