/// Which of many magnitudes are outliers: CBQ's coarse-to-fine detection.
package struct OutlierSplit: Equatable {
  /// The largest magnitude that is not an outlier.
  package let largestReserved: Float
  /// The number of magnitudes above it.
  package let outliers: Int

  /// Splits `magnitudes`; nil if there are none.
  ///
  /// Coarse: O = {x > T}, T = Q3 + λ₁·(Q3 − Q1). Fine: of all cuts of the sorted O into a reserved and
  /// an outlying part, the one with the largest M = (min outlying − max reserved)² − λ₂·Var(reserved).
  ///
  /// A reserved part of fewer than two values has no variance of its own; it counts together with all
  /// values up to T. Where no cut has M > 0, the tail has no gap wider than its spread, and there are no
  /// outliers. Magnitudes must be finite.
  package init?(_ magnitudes: [Float], coarse: Float, fine: Float) {
    let sorted = magnitudes.sorted()
    guard let last = sorted.last else { return nil }
    let (q1, q3) = (sorted.quantile(0.25), sorted.quantile(0.75))
    let limit = q3 + Double(coarse) * (q3 - q1)
    let first = sorted.partitioningIndex { Double($0) > limit }
    var best: (score: Double, cut: Int)?
    var (whole, tail) = (RunningVariance(), RunningVariance())
    for x in sorted[..<first] { whole.add(x) }
    for cut in first..<sorted.count {
      if cut > first {
        whole.add(sorted[cut - 1])
        tail.add(sorted[cut - 1])
      }
      guard cut > 0 else { continue }
      let gap = Double(sorted[cut]) - Double(sorted[cut - 1])
      let spread = cut - first < 2 ? whole.variance : tail.variance
      let score = gap * gap - Double(fine) * spread
      if score > best?.score ?? 0 { best = (score, cut) }
    }
    largestReserved = best.map { sorted[$0.cut - 1] } ?? last
    outliers = best.map { sorted.count - $0.cut } ?? 0
  }
}

/// Welford's mean and variance of the values so far.
private struct RunningVariance {
  private var count = 0.0
  private var mean = 0.0
  private var squares = 0.0

  /// Over all values, not all but one.
  var variance: Double { count > 0 ? squares / count : 0 }

  mutating func add(_ x: Float) {
    count += 1
    let deviation = Double(x) - mean
    mean += deviation / count
    squares += deviation * (Double(x) - mean)
  }
}

extension [Float] {
  /// The quantile of sorted values, between neighbours in proportion.
  fileprivate func quantile(_ share: Double) -> Double {
    let position = share * Double(count - 1)
    let below = Int(position.rounded(.down))
    let above = Swift.min(below + 1, count - 1)
    return Double(self[below])
      + (Double(self[above]) - Double(self[below])) * (position - Double(below))
  }

  /// The index of the first element that `isBehind`, which all after it are too.
  fileprivate func partitioningIndex(_ isBehind: (Float) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
