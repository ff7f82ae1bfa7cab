public import HalftoneTensor

/// Rounds rows of inputs in groups whose scales have eight bits, found as the network runs: MXFP4, MXFP6,
/// MXFP8 and NVFP4 inputs.
///
/// For a group of the largest magnitude a, as compressed-tensors 0.20 finds the scales:
///
/// | scales | scale |
/// |---|---|
/// | E8M0 | 2^(⌊log₂ a′⌋ − k), k = ⌊log₂ largest code⌋ |
/// | E4M3 | E4M3(G · a / largest code) / G, G fixed for the layer; 2⁻³/G where that is 0 |
///
/// a′ is a plus half a step of its leading bits, as many as the codes' mantissas have (one of E4M3 codes), so that
/// a group whose largest would round past the largest code takes the next power.
public struct GroupRounding: Hashable, Sendable {
  /// Neighbours in a row that share a scale.
  public let size: Int
  private let levels: LevelTable
  private let extent: Float
  private let mantissaBits: Int
  /// G of E4M3 scales; nil for powers of two.
  private let global: Float?

  /// - Throws: ``SchemeError`` for inputs that are not rounded in such groups.
  public init(_ scheme: InputScheme, global: Float) throws(SchemeError) {
    guard case .group(let size) = scheme.granularity, let levels = scheme.format.levels,
      let float = scheme.format as? FloatFormat, [.e8m0, .e4m3].contains(scheme.scales),
      global.isFinite, global > 0
    else { throw SchemeError("inputs \(scheme) are not rounded in groups") }
    self.size = size
    self.levels = levels
    extent = scheme.format.extent.high
    mantissaBits = float == .e2m3 ? 3 : 1
    self.global = scheme.scales == .e4m3 ? global : nil
  }

  /// The scale of a group whose largest magnitude is `largest`.
  public func scale(_ largest: Float) -> Float {
    guard let global else {
      let raised = Float(bitPattern: largest.bitPattern &+ 1 << UInt32(22 - mantissaBits))
      // Of subnormal numbers, too: the least scale is 2⁻¹²⁷.
      let exponent = raised.isFinite ? Int(raised.exponent) - Int(extent.exponent) : 127
      return Float(sign: .plus, exponent: min(127, max(-127, exponent)), significand: 1)
    }
    let stored = Self.e4m3(global * (largest / extent))
    return (stored == 0 ? 0.125 : stored) / global
  }

  /// The nearest number of E4M3.
  private static func e4m3(_ x: Float) -> Float {
    guard let levels = FloatFormat.e4m3fn.levels else { return x }
    var result: Float = 0
    let grid = ScaledGrid(scale: 1, low: -448, high: 448, levels: levels)
    withUnsafePointer(to: x) { from in
      withUnsafeMutablePointer(to: &result) { to in
        Kernels.roundTrip(
          UnsafeBufferPointer(start: from, count: 1), grid,
          UnsafeMutableBufferPointer(start: to, count: 1))
      }
    }
    return result
  }

  /// Rounds rows of whole groups from `x` to `out`, which may be the same memory.
  public func round(_ x: UnsafeBufferPointer<Float>, _ out: UnsafeMutableBufferPointer<Float>) {
    for start in stride(from: 0, to: x.count, by: size) {
      let group = UnsafeBufferPointer(rebasing: x[start..<start + size])
      let range = Kernels.extrema(group)
      let grid = ScaledGrid(
        scale: scale(max(range.maximum, -range.minimum)), low: -extent, high: extent,
        levels: levels)
      Kernels.roundTrip(
        group, grid, UnsafeMutableBufferPointer(rebasing: out[start..<start + size]))
    }
  }

  /// `x` [tokens, columns] rounded; no gradient goes through.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    precondition(x.columns % size == 0, "groups of \(size) in rows of \(x.columns)")
    return Tensor(shape: x.shape) { out in
      x.withElements { x in
        parallelRanges(x.count / size, grain: 1 << 9) { groups in
          let part = groups.lowerBound * size..<groups.upperBound * size
          round(
            UnsafeBufferPointer(rebasing: x[part]),
            UnsafeMutableBufferPointer(rebasing: out[part]))
        }
      }
    }
  }
}
