public import HalftoneTensor

/// Four bits a value where an outlier takes its neighbour's place: outlier-victim pairs.
///
/// Guo et al. *OliVe: Accelerating Large Language Models via Hardware-friendly Outlier-Victim Pair
/// Quantization.* ISCA 2023. <https://arxiv.org/abs/2304.07493>
///
/// | Paper              | Here                                                                |
/// | ------------------ | ------------------------------------------------------------------- |
/// | normal values      | codes 0...15: int4 ±0...7, or flint4 ±{0, 1, 2, 3, 4, 6, 8, 16}      |
/// | abfloat E2M1       | codes 16...31: ±2^e·(1 + m/2), ±{12, 16, 24, 32, 48, 64, 96} by int4 |
/// | outlier identifier | 1000b in the victim's four bits                                     |
///
/// Neighbours 2k and 2k + 1 of a row are a pair. Where one is an outlier the other becomes 0, the odd one
/// where both are. In files an outlier's four bits are a sign and three bits of the abfloat, whose first
/// code is unused; 1000b, which no normal value has, marks the victim beside it.
public struct OutlierVictimFormat: NumberFormat, Equatable {
  /// Whether normal values are flint4 rather than int4.
  public let flint: Bool

  public init(flint: Bool = false) { self.flint = flint }

  public var name: String { flint ? "olive4-flint" : "olive4" }
  public var bits: Int { 4 }

  /// The largest normal value.
  public var normalHigh: Float { flint ? 16 : 7 }
  /// The code of four bits that marks a victim.
  private static let identifier: UInt8 = 8
  private static let firstOutlier: UInt8 = 16

  public var values: CodeValues {
    let normal: [Float] =
      flint
      ? [0, 1, 2, 3, 4, 6, 8, 16, .nan, -1, -2, -3, -4, -6, -8, -16]
      : [0, 1, 2, 3, 4, 5, 6, 7, .nan, -7, -6, -5, -4, -3, -2, -1]
    // 2^e·(1 + m/2) in units of the normal values: e from 3 for int4, from 4 for flint4.
    let base: Float = flint ? 16 : 8
    var outliers: [Float] = [.nan]
    for index in 1..<8 {
      let mantissa: Float = index % 2 == 0 ? 1 : 1.5
      outliers.append(base * Float(1 << (index / 2)) * mantissa)
    }
    return .table(normal + outliers + outliers.map { -$0 })
  }

  /// Makes a row's victims 0, so that its codes can be stored.
  ///
  /// The last of an odd number has no neighbour to mark it, and becomes the largest normal value.
  func pair(_ codes: UnsafeMutableBufferPointer<Int8>) {
    if !codes.count.isMultiple(of: 2), let last = codes.last, last >= Int8(Self.firstOutlier) {
      let isNegative = last >= Int8(Self.firstOutlier) + 8
      codes[codes.count - 1] = flint ? (isNegative ? 15 : 7) : (isNegative ? 9 : 7)
    }
    for even in stride(from: 0, to: codes.count - 1, by: 2) {
      if codes[even] >= Int8(Self.firstOutlier) {
        codes[even + 1] = 0
      } else if codes[even + 1] >= Int8(Self.firstOutlier) {
        codes[even] = 0
      }
    }
  }

  public func stored(_ codes: Tensor) -> Tensor {
    mapped(codes) { even, odd in
      if even >= Self.firstOutlier { return (even - Self.firstOutlier, Self.identifier) }
      if odd >= Self.firstOutlier { return (Self.identifier, odd - Self.firstOutlier) }
      return (even, odd)
    }
  }

  /// Pairs of two identifiers, and of an outlier code without a value, become codes that stand for NaN.
  public func loaded(_ codes: Tensor) -> Tensor {
    mapped(codes) { even, odd in
      if even == Self.identifier { return (0, (odd & 15) + Self.firstOutlier) }
      if odd == Self.identifier { return ((even & 15) + Self.firstOutlier, 0) }
      return (even, odd)
    }
  }

  /// Each pair of a row; the last element of an odd row stays.
  private func mapped(
    _ codes: Tensor, _ body: @Sendable (UInt8, UInt8) -> (UInt8, UInt8)
  ) -> Tensor {
    let columns = codes.columns
    return codes.withBytes { bytes in
      Tensor(shape: codes.shape, elementType: .int8) { out in
        out.copyMemory(from: bytes)
        for row in 0..<codes.rows {
          for even in stride(from: row * columns, to: (row + 1) * columns - 1, by: 2) {
            (out[even], out[even + 1]) = body(bytes[even], bytes[even + 1])
          }
        }
      }
    }
  }
}

/// The scale of outlier-victim pairs with the least squared error.
///
/// α = r·max |μ ± 3σ| for r = 0.75, 0.77 … 2.49 is the largest normal value; errors are those after victims
/// have become 0. As in the authors' code.
public struct OutlierVictimRange: RangeSearch {
  public let format: OutlierVictimFormat

  public init(_ format: OutlierVictimFormat) { self.format = format }

  public func grid(for runs: [UnsafeBufferPointer<Float>], in family: GridFamily) -> ScaledGrid {
    let count = runs.reduce(0) { $0 + $1.count }
    let none = family.covering(0, 0)
    guard count > 0, runs.allSatisfy({ $0.allSatisfy { $0.isFinite } }) else { return none }
    let mean = runs.reduce(0.0) { $0 + $1.reduce(0.0) { $0 + Double($1) } } / Double(count)
    let variance =
      runs.reduce(0.0) { sum, run in
        run.reduce(sum) { $0 + (Double($1) - mean) * (Double($1) - mean) }
      } / Double(count)
    let reach = abs(mean) + 3 * variance.squareRoot()
    let grids = (0..<88).compactMap { step -> ScaledGrid? in
      var grid = none
      grid.scale = Float(reach * (0.75 + 0.02 * Double(step))) / format.normalHigh
      return grid.scale.isNormal ? grid : nil
    }
    let errors = [Double](unsafeUninitializedCapacity: grids.count) { errors, count in
      count = grids.count
      let errors = errors
      // On the thread of a row's search this is a plain loop.
      parallelFor(grids.count) { i in
        errors.initializeElement(at: i, to: runs.reduce(0) { $0 + error(of: grids[i], on: $1) })
      }
    }
    var best = none
    var least = Double.infinity
    for (grid, error) in zip(grids, errors) where error < least { (least, best) = (error, grid) }
    return best
  }

  private func error(of grid: ScaledGrid, on run: UnsafeBufferPointer<Float>) -> Double {
    guard let levels = grid.levels else { return .infinity }
    return withUnsafeTemporaryAllocation(of: Int8.self, capacity: run.count) { codes in
      Kernels.quantize(run, grid, codes)
      format.pair(codes)
      var sum = 0.0
      for (code, x) in zip(codes, run) {
        let difference = Double(x - levels.value(of: code) * grid.scale)
        sum += difference * difference
      }
      return sum
    }
  }
}
