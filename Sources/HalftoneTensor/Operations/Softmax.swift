import CHalftoneKernels
import Foundation

// Softmax over the last axis and the objectives built on it. Logits are [rows, classes].

extension Tensor {
  /// p = softmax(x); dx = p∘(dp − Σ p∘dp).
  public func softmax() -> Tensor {
    let p = softmaxAndNormalizers().probabilities
    return p.recorded(.softmax, [self]) { dp in
      let (width, p, g) = (p.columns, p.floats, dp.floats)
      return [
        Tensor(shape: self.shape) { out in
          guard let dx = out.baseAddress else { return }
          parallelRanges(self.rows, grain: max(1, elementGrain / width)) { range in
            for i in range {
              Kernels.set.softmax_pullback(p + i * width, g + i * width, 1, dx + i * width, width)
            }
          }
        }
      ]
    }
  }

  /// ln softmax(x); dx = dy − p·Σ dy.
  public func logSoftmax() -> Tensor {
    let (p, normalizers) = softmaxAndNormalizers()
    let (x, width) = (floats, columns)
    return Tensor(shape: shape) { out in
      guard let y = out.baseAddress else { return }
      parallelRanges(rows, grain: max(1, elementGrain / width)) { range in
        for i in range {
          for j in 0..<width { y[i * width + j] = x[i * width + j] - normalizers[i] }
        }
      }
    }
    .recorded(.logSoftmax, [self]) { dy in
      let (p, g) = (p.floats, dy.floats)
      return [
        Tensor(shape: self.shape) { out in
          guard let dx = out.baseAddress else { return }
          for i in 0..<self.rows {
            let total = Kernels.set.sum(g + i * width, width)
            for j in i * width..<(i + 1) * width { dx[j] = g[j] - p[j] * total }
          }
        }
      ]
    }
  }

  /// softmax(x), and the log of the sum of exponentials of each row.
  private func softmaxAndNormalizers() -> (probabilities: Tensor, normalizers: [Float]) {
    let (x, width) = (floats, columns)
    var normalizers = [Float](repeating: 0, count: rows)
    let probabilities = normalizers.withUnsafeMutableBufferPointer { normalizers in
      Tensor(shape: shape) { out in
        guard let p = out.baseAddress, let base = normalizers.baseAddress else { return }
        parallelRanges(normalizers.count, grain: max(1, elementGrain / width)) { range in
          for i in range {
            (p + i * width).update(from: x + i * width, count: width)
            base[i] = Kernels.set.softmax(p + i * width, 1, width)
          }
        }
      }
    }
    return (probabilities, normalizers)
  }

  /// The mean over rows of −ln p[target]; dx = (p − 1_target)/rows.
  public func crossEntropy(targets: [Int]) -> Tensor {
    precondition(targets.count == rows, "\(targets.count) targets for \(rows) rows")
    let (p, normalizers) = softmaxAndNormalizers()
    let (width, x) = (columns, floats)
    var total = 0.0
    for (i, target) in targets.enumerated() {
      precondition((0..<width).contains(target), "target \(target) of \(width) classes")
      total += Double(normalizers[i] - x[i * width + target])
    }
    let n = Float(max(1, targets.count))
    return Tensor([Float(total) / n], shape: []).recorded(.crossEntropy, [self]) { dy in
      let factor = dy.scalar / n
      let p = p.floats
      return [
        Tensor(shape: self.shape) { out in
          for i in 0..<targets.count {
            for j in i * width..<(i + 1) * width { out[j] = p[j] * factor }
            out[i * width + targets[i]] -= factor
          }
        }
      ]
    }
  }

  /// The mean over rows of Σ p·ln(p/q), p = softmax(reference), q = softmax(self); dx = (q − p)/rows.
  ///
  /// The reference takes no gradient.
  public func klDivergence(from reference: Tensor) -> Tensor {
    precondition(shape == reference.shape, "klDivergence: \(shape) and \(reference.shape)")
    let (p, pNormalizers) = reference.softmaxAndNormalizers()
    let (q, qNormalizers) = softmaxAndNormalizers()
    let (width, x, r, weights) = (columns, floats, reference.floats, p.floats)
    let divergences = scored { i, difference in
      let (p, r, x) = (weights + i * width, r + i * width, x + i * width)
      for j in 0..<width { difference[j] = (r[j] - pNormalizers[i]) - (x[j] - qNormalizers[i]) }
      return Self.dotSummedInDouble(p, difference, width)
    }
    let n = Float(max(1, rows))
    return Tensor([Float(divergences.reduce(0, +)) / n], shape: []).recorded(.klDivergence, [self])
    { dy in
      let (a, b, factor) = (q.floats, p.floats, dy.scalar / n)
      return [q.mapped { for i in 0..<$2 { $0[i] = (a[$1 + i] - b[$1 + i]) * factor } }]
    }
  }

  /// Σ a·b, the products as floats, their sum in double precision.
  private static func dotSummedInDouble(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int
  ) -> Double {
    var sums = SIMD8<Double>.zero
    let whole = count / 8 * 8
    for j in stride(from: 0, to: whole, by: 8) {
      let x = UnsafeRawPointer(a + j).loadUnaligned(as: SIMD8<Float>.self)
      let y = UnsafeRawPointer(b + j).loadUnaligned(as: SIMD8<Float>.self)
      sums += SIMD8<Double>(x * y)
    }
    return (whole..<count).reduce(sums.sum()) { $0 + Double(a[$1] * b[$1]) }
  }
}
