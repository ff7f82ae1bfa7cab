public import HalftoneTensor

/// The scale with which the least positive value stands for the mean magnitude.
///
/// Of binary weights it has the least squared error (XNOR-Net, section 3.1). For ternary weights it is the
/// one of Ma et al. *The Era of 1-bit LLMs.* 2024. <https://arxiv.org/abs/2402.17764>.
public struct MeanMagnitudeRange: RangeSearch {
  public init() {}

  public func grid(for runs: [UnsafeBufferPointer<Float>], in family: GridFamily) -> ScaledGrid {
    family.grid(least: runs.meanMagnitude(above: 0))
  }
}

/// The scale of ternary weight networks: the mean of the magnitudes above Δ = 0.7·mean |w|.
///
/// The paper gives ±1 to what is above Δ; here that bound is half the scale, as nearest values have it.
public struct TernaryThresholdRange: RangeSearch {
  public init() {}

  public func grid(for runs: [UnsafeBufferPointer<Float>], in family: GridFamily) -> ScaledGrid {
    family.grid(least: runs.meanMagnitude(above: 0.7 * runs.meanMagnitude(above: 0)))
  }
}

/// The range that leaves out the outermost values: from one quantile to its mirror image.
///
/// Symmetric grids reach the quantile of the magnitudes. Between two values a quantile is in proportion.
public struct PercentileRange: RangeSearch {
  /// The share of values that a range holds.
  public var share = 0.999

  public init() {}

  public func grid(for runs: [UnsafeBufferPointer<Float>], in family: GridFamily) -> ScaledGrid {
    let sorted = runs.flatMap { $0 }.map { family.symmetric ? abs($0) : $0 }.sorted()
    guard !sorted.isEmpty, sorted.allSatisfy({ $0.isFinite }) else {
      return family.covering(.infinity, -.infinity)
    }
    if family.symmetric {
      let reach = sorted.quantile(share)
      return family.covering(-reach, reach)
    }
    return family.covering(sorted.quantile((1 - share) / 2), sorted.quantile((1 + share) / 2))
  }
}

extension [UnsafeBufferPointer<Float>] {
  /// The mean of the magnitudes that exceed `bound`; 0 for none, not finite where a value is not.
  fileprivate func meanMagnitude(above bound: Float) -> Float {
    var (sum, count) = (0.0, 0)
    for run in self {
      for x in run where !(abs(x) <= bound) {
        sum += Double(abs(x))
        count += 1
      }
    }
    // Zeros count among all magnitudes, though none exceeds 0.
    let all = bound > 0 ? count : reduce(0) { $0 + $1.count }
    return count == 0 ? 0 : Float(sum / Double(all))
  }
}

extension [Float] {
  /// Of rising values.
  fileprivate func quantile(_ share: Double) -> Float {
    let position = share * Double(count - 1)
    let below = Int(position)
    let above = Swift.min(below + 1, count - 1)
    let (low, high) = (Double(self[below]), Double(self[above]))
    return Float(low + (high - low) * (position - Double(below)))
  }
}
