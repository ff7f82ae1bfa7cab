// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Foundation
import Testing

@Suite("FlexRound")
struct FlexRoundTests {
  let n = 403
  let grid = shifted
  let w, v2, v4, g: [Float]

  init() {
    var random = Generator(seed: 30)
    (w, g) = (random.uniform(n), random.uniform(n))
    (v2, v4) = (random.uniform(n, -0.5...0.5), random.uniform(n, -0.5...0.5))
  }

  /// w / S in Double; tests keep away from elements that lie on a tie within float accuracy.
  private func quotients(_ v3: Float, _ v4: [Float]?) -> [Double] {
    (0..<n).map { i in
      let v = Double(v2[i]) + Double(v3) + Double(v4?[i] ?? 0)
      return Double(w[i]) / (Double(grid.scale) * exp(v))
    }
  }

  private func isClear(_ quotient: Double) -> Bool {
    abs(quotient - quotient.rounded(.down) - 0.5) > 1e-4
  }

  private func limited(_ quotient: Double) -> Double {
    min(
      max(quotient.rounded(.toNearestOrEven), Double(grid.low - grid.zero)),
      Double(grid.high - grid.zero))
  }

  @Test("values", arguments: [true, false])
  func values(columns: Bool) throws {
    let kernels = try generic()
    let found = output(n) {
      kernels.flexround(w, v2, 0.1, columns ? v4 : nil, grid, $0, n)
    }
    let quotients = quotients(0.1, columns ? v4 : nil)
    let clear = quotients.indices.filter { isClear(quotients[$0]) }
    #expect(clear.count > 390)
    #expect(clear.allSatisfy { found[$0] == grid.scale * Float(limited(quotients[$0])) })
  }

  @Test("without learned factors it is plain rounding")
  func startsAtNearest() throws {
    let kernels = try generic()
    let zeros = [Float](repeating: 0, count: n)
    let found = output(n) { kernels.flexround(w, zeros, 0, nil, grid, $0, n) }
    #expect(found == output(n) { kernels.round_trip(w, grid, $0, n) })
  }

  @Test("gradients", arguments: [true, false])
  func gradients(columns: Bool) throws {
    let kernels = try generic()
    let quotients = quotients(0.1, columns ? v4 : nil)
    let weights = zip(g, quotients).map { isClear($1) ? $0 : 0 }
    var (dv3, dl1): (Float, Float) = (0, 0)
    let dv2 = output(n) {
      kernels.flexround_pullback(
        w, v2, 0.1, columns ? v4 : nil, grid, weights, $0, &dv3, &dl1, n)
    }
    let scale = Double(grid.scale)
    let expected = zip(quotients, weights).map { quotient, weight -> Double in
      let inside = limited(quotient) == quotient.rounded(.toNearestOrEven)
      return inside ? -scale * quotient * Double(weight) : 0
    }
    #expect(near(dv2, expected, 1e-5))
    let codes = zip(quotients, weights).map { scale * limited($0) * Double($1) }
    #expect(near([dv3], [expected.reduce(0, +)], 1e-5))
    #expect(near([dl1], [expected.reduce(0, +) + codes.reduce(0, +)], 1e-5))
    #expect(expected.contains(0) && expected.contains { $0 != 0 })
  }
}

@Suite("AdaRound")
struct AdaRoundTests {
  let n = 403
  let grid = shifted
  let w, v, g: [Float]

  init() {
    var random = Generator(seed: 31)
    (w, v, g) = (random.uniform(n), random.uniform(n), random.uniform(n))
  }

  private func sigmoid(_ v: Float) -> Double { 1 / (1 + exp(-Double(v))) }
  private func rectified(_ v: Float) -> Double { min(max(1.2 * sigmoid(v) - 0.1, 0), 1) }
  private func unlimited(_ i: Int, hard: Bool = false) -> Double {
    let share = hard ? (v[i] >= 0 ? 1 : 0) : rectified(v[i])
    return Double((w[i] / grid.scale).rounded(.down)) + share + Double(grid.zero)
  }

  private func held(_ i: Int, hard: Bool) -> Double {
    let code = min(max(unlimited(i, hard: hard), Double(grid.low)), Double(grid.high))
    return Double(grid.scale) * (code - Double(grid.zero))
  }

  @Test("values", arguments: [false, true])
  func values(hard: Bool) throws {
    let kernels = try generic()
    let found = output(n) { kernels.adaround(w, v, grid, hard ? 1 : 0, $0, n) }
    #expect(near(found, (0..<n).map { held($0, hard: hard) }, 2e-6))
  }

  @Test("the slope of the step", arguments: [false, true])
  func step(hard: Bool) throws {
    let kernels = try generic()
    var slope: Float = 0
    _ = output(n) {
      _ = kernels.adaround_pullback(w, v, grid, hard ? 1 : 0, g, 0, 1, $0, &slope, n)
    }
    let bounds = Double(grid.low)...Double(grid.high)
    let terms = (0..<n).map { i in
      let weight = bounds.contains(unlimited(i, hard: hard)) ? Double(w[i]) : 0
      return (held(i, hard: hard) - weight) * Double(g[i])
    }
    #expect(near([slope], [terms.reduce(0, +)], 1e-5))
  }

  @Test("the start gives back the fraction")
  func start() throws {
    let kernels = try generic()
    let found = output(n) { kernels.adaround_start(w, grid, $0, n) }
    let fractions = w.map { Double($0 / grid.scale - ($0 / grid.scale).rounded(.down)) }
    #expect(near(found.map { Float(rectified($0)) }, fractions, 2e-6))
  }

  @Test("gradients and regulariser", arguments: [0, 0.01] as [Float])
  func gradients(lambda: Float) throws {
    let kernels = try generic()
    let beta = 3.5
    var (penalty, slope): (Float, Float) = (0, 0)
    let found = output(n) {
      penalty = kernels.adaround_pullback(w, v, grid, 0, g, lambda, Float(beta), $0, &slope, n)
    }
    let expected = (0..<n).map { i -> Double in
      let (h, s) = (rectified(v[i]), sigmoid(v[i]))
      let t = 2 * h - 1
      let inside = (Double(grid.low)...Double(grid.high)).contains(unlimited(i))
      let data = inside ? Double(g[i]) * Double(grid.scale) : 0
      let pull = Double(lambda) * beta * pow(abs(t), beta - 1) * 2 * (t < 0 ? -1 : 1)
      return h > 0 && h < 1 ? (data - pull) * 1.2 * s * (1 - s) : 0
    }
    #expect(near(found, expected, 2e-6))
    let terms = v.map { 1 - pow(abs(2 * rectified($0) - 1), beta) }
    #expect(near([penalty], [lambda == 0 ? 0 : terms.reduce(0, +)], 1e-5))
  }

  @Test("the middle has no slope, for any beta", arguments: [1, 2, 20] as [Float])
  func middle(beta: Float) throws {
    let kernels = try generic()
    var slope: Float = 0
    let found = output(1) { dv in
      let penalty = kernels.adaround_pullback([0.1], [0], grid, 0, [0], 0.01, beta, dv, &slope, 1)
      #expect(penalty == 1)
    }
    #expect(found == [0])
  }
}
