// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Foundation
import Testing

/// Kernels on grids of levels against their definitions; the search itself has tests of its own.
@Suite("Grids of levels")
struct LevelTests {
  let n = 501
  let grid = fourBitFloats.grid(0.21)
  let values = fourBitFloats.values.map(Double.init)
  let w, v, g: [Float]

  init() {
    var random = Generator(seed: 77)
    (w, v, g) = (random.uniform(n, -1.5...1.5), random.uniform(n), random.uniform(n))
  }

  private var scale: Double { Double(grid.scale) }
  private func nearest(_ t: Double) -> Double {
    values.min { abs($0 - t) < abs($1 - t) } ?? .nan
  }

  /// Whether a quotient is so close to a tie or to the edge of the reach that float accuracy decides.
  private func isClear(_ t: Double) -> Bool {
    let ties = zip(values, values.dropFirst()).map { ($0 + $1) / 2 } + [-7, 7]
    return ties.allSatisfy { abs($0 - t) > 1e-4 }
  }

  private func below(_ t: Double) -> Int? { values.lastIndex { $0 <= t } }

  @Test("floats by arithmetic are those of the search, on every set", arguments: floatFormats)
  func floats(_ exponent: Int, _ mantissa: Int, _ bias: Int, _ unused: Int) throws {
    func levels(_ searched: Bool) -> Levels {
      Levels(
        exponent: exponent, mantissa: mantissa, bias: bias, unused: unused, searched: searched)
    }
    let (fast, slow) = (levels(false), levels(true))
    var x: [Float] = [0, -0.0, .nan, .infinity, -.infinity, 1e30, -1e30, .leastNonzeroMagnitude]
    for (a, b) in zip(slow.values, slow.values.dropFirst()) {
      let middle = (a + b) / 2
      x += [a, a.nextUp, a.nextDown, middle, middle.nextUp, middle.nextDown]
    }
    var random = Generator(seed: 5)
    x += random.anything(4001)
    x += random.uniform(4001, slow.values[0] * 1.1...slow.values[slow.values.count - 1] * 1.1)
    let n = x.count
    for name in ["generic"] + fasterSets {
      let kernels = try #require(halftone_kernels_named(name)).pointee
      for scale in [1, 0.37] as [Float] {
        func codes(_ levels: Levels) -> [Int8] {
          written([Int8](repeating: 3, count: n), guardedBy: 1) {
            kernels.quantize(x, levels.grid(scale), $0, n)
          }
        }
        #expect(codes(fast) == codes(slow))
        func values(_ levels: Levels) -> [UInt32] {
          output(n) { kernels.round_trip(x, levels.grid(scale), $0, n) }.map(\.bitPattern)
        }
        #expect(values(fast) == values(slow))
      }
    }
  }

  @Test("FlexRound: values and gradients")
  func flexRound() throws {
    let kernels = try generic()
    let quotients = (0..<n).map { Double(w[$0]) / (scale * exp(Double(v[$0]) / 4 + 0.1)) }
    let v2 = v.map { $0 / 4 }
    let clear = quotients.map { isClear($0) }
    let weights = zip(g, clear).map { $1 ? $0 : 0 }
    let found = output(n) { kernels.flexround(w, v2, 0.1, nil, grid, $0, n) }
    for i in 0..<n where clear[i] {
      #expect(found[i] == grid.scale * Float(nearest(quotients[i])))
    }
    var (dv3, dl1): (Float, Float) = (0, 0)
    let dv2 = output(n) {
      kernels.flexround_pullback(w, v2, 0.1, nil, grid, weights, $0, &dv3, &dl1, n)
    }
    // Half of the last step, 6 − 4, beyond 6.
    let expected = (0..<n).map { i in
      abs(quotients[i]) <= 7 ? -scale * quotients[i] * Double(weights[i]) : 0
    }
    #expect(clear.filter { $0 }.count > 480 && quotients.contains { abs($0) > 7 })
    #expect(near(dv2, expected, 1e-5))
    #expect(near([dv3], [expected.reduce(0, +)], 1e-4))
    let step = (0..<n).reduce(0) {
      $0 + scale * nearest(quotients[$1]) * Double(weights[$1]) + expected[$1]
    }
    #expect(near([dl1], [step], 1e-4))
  }

  @Test("AdaRound: values, gradients and start")
  func adaRound() throws {
    let kernels = try generic()
    let found = output(n) { kernels.adaround(w, v, grid, 0, $0, n) }
    var slope: Float = 0
    let dv = output(n) {
      _ = kernels.adaround_pullback(w, v, grid, 0, g, 0, 1, $0, &slope, n)
    }
    let start = output(n) { kernels.adaround_start(w, grid, $0, n) }
    for i in 0..<n {
      let t = Double(w[i] / grid.scale)
      let sigmoid = 1 / (1 + exp(-Double(v[i])))
      let h = min(max(1.2 * sigmoid - 0.1, 0), 1)
      guard let place = below(t), place + 1 < values.count else {
        // Beyond the range the outer value, and no way to move.
        #expect(near([found[i], dv[i]], [scale * (t < 0 ? -6 : 6), 0], 1e-6))
        continue
      }
      let step = values[place + 1] - values[place]
      let derivative = 0 < h && h < 1 ? 1.2 * sigmoid * (1 - sigmoid) : 0
      #expect(near([found[i]], [scale * (values[place] + h * step)], 2e-6))
      #expect(near([dv[i]], [Double(g[i]) * scale * step * derivative], 2e-6))
      let share = min(max(1.2 / (1 + exp(-Double(start[i]))) - 0.1, 0), 1)
      #expect(abs(share - (t - values[place]) / step) < 1e-5)
    }
    #expect(slope != 0)
  }

  @Test("straight-through: inside its reach dx is dy, and the step gets LSQ's slope")
  func straightThrough() throws {
    let kernels = try generic()
    var slope: Float = 0
    let dx = output(n) { slope = kernels.round_trip_pullback(w, grid, g, $0, n) }
    var expected = 0.0
    for i in 0..<n {
      let t = Double(w[i] / grid.scale)
      #expect(dx[i] == (abs(t) <= 7 ? g[i] : 0))
      expected += Double(g[i]) * (abs(t) <= 7 ? nearest(t) - t : nearest(t))
    }
    #expect(near([slope], [expected], 1e-4))
  }

  @Test("round_trip_error sums the powers of the distances", arguments: [Float(1), 2, 2.4])
  func errors(power: Float) throws {
    let found = try generic().round_trip_error(w, grid, power, n)
    let expected = w.reduce(0.0) {
      $0 + pow(abs(Double($1) - scale * nearest(Double($1 / grid.scale))), Double(power))
    }
    #expect(near([found], [expected], 1e-5))
  }
}
