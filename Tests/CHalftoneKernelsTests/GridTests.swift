// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Foundation
import Testing

/// The code before clamping, in the contract's own order of float operations.
private func unclamped(_ x: Float, _ grid: halftone_grid) -> Float {
  (x / grid.scale).rounded(.toNearestOrEven) + grid.zero
}

private func code(_ x: Float, _ grid: halftone_grid) -> Float {
  let code = unclamped(x, grid)
  return code.isNaN ? grid.low : min(max(code, grid.low), grid.high)
}

@Suite("Uniform grids")
struct GridTests {
  nonisolated(unsafe) static let widest = halftone_grid(
    scale: 0.01, zero: 5, low: -128, high: 127, levels: nil)

  @Test("codes are exact, on ties and outside the range too")
  func codes() throws {
    let kernels = try generic()
    var random = Generator(seed: 20)
    let x = random.anything(3001)
    for grid in [fourBits, shifted, Self.widest] {
      let codes = written([Int8](repeating: 0, count: 3001), guardedBy: 1) {
        kernels.quantize(x, grid, $0, 3001)
      }
      #expect(codes == x.map { Int8(code($0, grid)) })
      let values = output(3001) { kernels.dequantize(codes, grid, $0, 3001) }
      #expect(values == codes.map { (Float($0) - grid.zero) * grid.scale })
      #expect(output(3001) { kernels.round_trip(x, grid, $0, 3001) } == values)
    }
  }

  @Test("ties go to the even code")
  func ties() throws {
    let kernels = try generic()
    let x: [Float] = [0.125, 0.375, 0.625, -0.125, -0.375, 9, -9]
    let codes = written([Int8](repeating: 9, count: 7), guardedBy: 1) {
      kernels.quantize(x, fourBits, $0, 7)
    }
    #expect(codes == [0, 2, 2, 0, -2, 7, -8])
  }

  @Test("errors within a limit are exact, others above it", arguments: [1, 1.3, 2, 2.4, 4, 5])
  func errorWithin(power: Float) throws {
    let kernels = try generic()
    var random = Generator(seed: 22)
    for n in [1, 15, 100, 128, 129, 1000] {
      let x = random.uniform(n)
      for scale in [0.001, 0.1, 0.3, 7] as [Float] {
        let grid = halftone_grid(scale: scale, zero: 0, low: -8, high: 7, levels: nil)
        let exact = kernels.round_trip_error(x, grid, power, n)
        for limit in [exact, exact * 1.001, exact * 2, .infinity] {
          #expect(kernels.round_trip_error_within(x, grid, power, limit, n) == exact)
        }
        for limit in [exact.nextDown, exact * 0.99, exact / 2, 0] where exact > 0 {
          #expect(kernels.round_trip_error_within(x, grid, power, limit, n) > limit)
        }
      }
    }
  }

  @Test("round-trip error", arguments: [1, 2, 2.4, 4] as [Float])
  func error(power: Float) throws {
    let kernels = try generic()
    var random = Generator(seed: 21)
    for n in [0, 1, 15, 16, 17, 500] {
      let x = random.finite(n)
      let expected = x.map { value in
        pow(
          Double(abs(value - (code(value, shifted) - shifted.zero) * shifted.scale)),
          Double(power))
      }.reduce(0, +)
      let found = Double(kernels.round_trip_error(x, shifted, power, n))
      #expect(abs(found - expected) <= 2e-5 * expected)
    }
  }

  @Test("a grid without zero does not count the elements that are not there")
  func errorWithoutZero() throws {
    let kernels = try generic()
    let positive = halftone_grid(scale: 1, zero: -10, low: -8, high: 7, levels: nil)
    #expect(kernels.round_trip_error([2, 3, 4], positive, 2, 3) == 0)
  }

  @Test("straight-through gradient and the step's gradient")
  func pullback() throws {
    let kernels = try generic()
    var random = Generator(seed: 22)
    let n = 501
    let (x, dy) = (random.uniform(n), random.uniform(n))
    var slope: Float = 0
    let dx = output(n) { slope = kernels.round_trip_pullback(x, shifted, dy, $0, n) }
    let inside = x.map { (shifted.low...shifted.high).contains(unclamped($0, shifted)) }
    #expect(dx == zip(inside, dy).map { $0 ? $1 : 0 })
    let terms = (0..<n).map { i -> Double in
      let t = x[i] / shifted.scale
      let step =
        inside[i] ? t.rounded(.toNearestOrEven) - t : code(x[i], shifted) - shifted.zero
      return Double(dy[i]) * Double(step)
    }
    #expect(inside.contains(false) && inside.contains(true))
    #expect(near([slope], [terms.reduce(0, +)], 1e-5))
  }
}
