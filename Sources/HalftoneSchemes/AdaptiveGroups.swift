public import HalftoneTensor

/// The size of a matrix's groups by its own numbers: large ones, unless smaller ones narrow their ranges.
///
/// With R(B) the mean of the largest magnitudes of all groups of B columns, groups begin as whole rows and are
/// halved while 1 − R(B/2)/R(B) > α and at least ``least`` columns are left. Of normal numbers that is 0.063
/// at 512 columns and 0.096 at 64, so that α = 0.1 leaves matrices whole that have nothing but such.
///
/// The idea is that of Kim, Henry, Fahim, Hassan Awadalla. *FineQuant: Unlocking Efficiency with Fine-Grained
/// Weight-Only Quantization for LLMs.* 2023. <https://arxiv.org/abs/2308.09723>; its exact rule was not at
/// hand, this one is ours.
public struct AdaptiveGroups: Sendable, Equatable {
  public static let usualThreshold: Float = 0.1
  public static let usualLeast = 32

  /// α.
  public var threshold: Float
  public var least: Int

  public init(threshold: Float = usualThreshold, least: Int = usualLeast) {
    precondition(threshold > 0 && least > 0)
    self.threshold = threshold
    self.least = least
  }

  /// The smallest groups that rows of `columns` may be halved to.
  public func finest(columns: Int) -> Granularity {
    granularity(sizes(columns).last ?? columns, columns)
  }

  /// The granularity for `weights` [rows, columns], which are finite.
  public func granularity(for weights: Tensor) -> Granularity {
    let columns = weights.columns
    var chosen = columns
    var range = meanRange(weights, columns)
    for size in sizes(columns).dropFirst() {
      let next = meanRange(weights, size)
      guard range > 0, 1 - next / range > Double(threshold) else { break }
      (chosen, range) = (size, next)
    }
    return granularity(chosen, columns)
  }

  /// Whole rows, and what is left as they are halved.
  private func sizes(_ columns: Int) -> [Int] {
    var sizes = [columns]
    while let last = sizes.last, last.isMultiple(of: 2), last / 2 >= least {
      sizes.append(last / 2)
    }
    return sizes
  }

  private func granularity(_ size: Int, _ columns: Int) -> Granularity {
    size == columns ? .channel : .group(size)
  }

  /// R(B).
  private func meanRange(_ weights: Tensor, _ size: Int) -> Double {
    weights.withElements { w in
      var sum = 0.0
      for start in stride(from: 0, to: w.count, by: size) {
        let range = Kernels.extrema(UnsafeBufferPointer(rebasing: w[start..<start + size]))
        sum += Double(max(-range.minimum, range.maximum))
      }
      return sum * Double(size) / Double(max(1, w.count))
    }
  }
}
