import Foundation
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport

/// Normal numbers with a few large ones, the same for a seed.
func weights(_ shape: [Int], _ seed: UInt64) -> Tensor {
  var generator = SeededGenerator(seed: seed)
  let values = (0..<shape[0] * shape[1]).map { _ in
    generator.normal() * (generator.below(50) == 0 ? 6 : 1)
  }
  return Tensor(values, shape: shape)
}

/// Codes spread over `range`.
func codes(_ shape: [Int], _ range: ClosedRange<Int>, _ seed: UInt64) -> Tensor {
  var generator = SeededGenerator(seed: seed)
  let values = (0..<shape[0] * shape[1]).map { _ in
    Float(range.lowerBound + generator.below(range.count))
  }
  return Tensor(values, shape: shape).converted(to: .int8)
}

/// (code − zero)·scale with clamped codes, by its definition.
///
/// The quotient is in single precision: with min-max ranges the largest weight lies on a tie.
func roundTrip(_ x: Float, _ grid: ScaledGrid) -> Double {
  let (scale, zero) = (Double(grid.scale), Double(grid.zero))
  let code = Double((x / grid.scale).rounded(.toNearestOrEven)) + zero
  return (min(max(code, Double(grid.low)), Double(grid.high)) - zero) * scale
}

/// In decibels.
func signalToNoise(_ x: [Float], _ y: [Float]) -> Double {
  var (signal, noise) = (0.0, 0.0)
  for (a, b) in zip(x, y) {
    signal += Double(a) * Double(a)
    noise += Double(a - b) * Double(a - b)
  }
  return 10 * log10(signal / noise)
}
