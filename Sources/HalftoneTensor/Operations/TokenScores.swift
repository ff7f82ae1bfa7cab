import CHalftoneKernels
import Foundation

// What is measured on logits [rows, classes], one number per row. Not differentiable; see
// ``Tensor/crossEntropy(targets:)`` and ``Tensor/klDivergence(from:)`` for means that are.

extension Tensor {
  /// −ln softmax(x)[target] of each row.
  public func negativeLogLikelihoods(targets: [Int]) -> [Double] {
    let (width, x) = (columns, floats)
    precondition(
      targets.count == rows && targets.allSatisfy { (0..<width).contains($0) },
      "\(targets.count) targets for \(shape)")
    return scored { i, scratch in
      let normalizer = Self.normalizer(x + i * width, scratch, width)
      return Double(normalizer) - Double(x[i * width + targets[i]])
    }
  }

  /// Σ p·ln(p/q) of each row, p = softmax(reference), q = softmax(self).
  ///
  /// Computed as ln E_p[exp(d − E_p d)] with d = self − reference, which does not subtract the two
  /// large normalizers and so stays accurate for networks that hardly differ.
  public func klDivergences(from reference: Tensor) -> [Double] {
    precondition(shape == reference.shape, "klDivergences: \(shape) and \(reference.shape)")
    let (width, x, r) = (columns, floats, reference.floats)
    return scored { i, p in
      let (q, s) = (x + i * width, r + i * width)
      _ = Self.normalizer(s, p, width)
      var (mass, mean) = (0.0, 0.0)
      for j in 0..<width {
        mass += Double(p[j])
        mean += Double(p[j]) * (Double(q[j]) - Double(s[j]))
      }
      mean /= mass
      var excess = 0.0
      for j in 0..<width where p[j] > 0 {
        excess += Double(p[j]) * exponentialLessOne(Double(q[j]) - Double(s[j]) - mean)
      }
      return max(0, log1p(excess / mass))
    }
  }

  /// The index of the largest element of each row, the first of equals.
  public func largestIndices() -> [Int] {
    let (width, x) = (columns, floats)
    return scored { i, _ in
      let row = x + i * width
      var best = 0
      for j in 1..<max(1, width) where row[j] > row[best] { best = j }
      return best
    }
  }

  /// softmax(row) into `scratch`, and ln Σ exp(row).
  private static func normalizer(
    _ row: UnsafePointer<Float>, _ scratch: UnsafeMutablePointer<Float>, _ width: Int
  ) -> Float {
    scratch.update(from: row, count: width)
    return Kernels.set.softmax(scratch, 1, width)
  }

  /// `score(row, scratch)` of each row, with `columns` floats of scratch, on several threads.
  func scored<T>(_ score: (Int, UnsafeMutablePointer<Float>) -> T) -> [T] {
    let width = columns
    return [T](unsafeUninitializedCapacity: rows) { out, count in
      count = rows
      guard let out = out.baseAddress else { return }
      parallelRanges(rows, grain: max(1, elementGrain / max(1, width))) { range in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: max(1, width)) { scratch in
          guard let scratch = scratch.baseAddress else { return }
          for i in range { (out + i).initialize(to: score(i, scratch)) }
        }
      }
    }
  }
}

/// eˣ − 1, by its series up to x⁹ where that is exact to 10⁻¹² (and much faster).
private func exponentialLessOne(_ x: Double) -> Double {
  guard abs(x) < 0.25 else { return expm1(x) }
  var sum = 1.0
  for k in stride(from: 9.0, through: 2.0, by: -1.0) { sum = 1 + sum * x / k }
  return sum * x
}
