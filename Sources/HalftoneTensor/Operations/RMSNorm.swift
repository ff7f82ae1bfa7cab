import CHalftoneKernels

/// Root-mean-square normalisation of Zhang and Sennrich (2019), row by row.
extension Tensor {
  /// y = x·r∘w with r = 1/√(mean x² + ε), over the last axis.
  ///
  /// dx = r·(w∘dy) − x·(r³/n)·Σ(w∘dy∘x), dw = Σ_rows dy∘x·r.
  public func rmsNorm(_ weight: Tensor, epsilon: Float) -> Tensor {
    let width = weight.count
    precondition(count % width == 0 && columns % width == 0, "rmsNorm: \(shape), \(weight.shape)")
    let height = count / width
    let (x, w) = (floats, weight.floats)
    var factors = [Float](repeating: 0, count: height)
    let y = factors.withUnsafeMutableBufferPointer { factors in
      Tensor(shape: shape) { out in
        guard let y = out.baseAddress, let r = factors.baseAddress else { return }
        parallelRanges(height, grain: max(1, elementGrain / width)) { range in
          for i in range {
            r[i] = Kernels.set.rms_norm(x + i * width, w, epsilon, y + i * width, width)
          }
        }
      }
    }
    return y.recorded(.rmsNorm, [self, weight]) { [factors] dy in
      self.rmsNormPullback(weight, factors, dy)
    }
  }

  private func rmsNormPullback(_ weight: Tensor, _ factors: [Float], _ dy: Tensor) -> [Tensor?] {
    let (width, height) = (weight.count, factors.count)
    let (x, w, g) = (floats, weight.floats, dy.floats)
    let grain = max(1, elementGrain / width)
    let pieces = weight.needsGradient ? (height + grain - 1) / grain : 0
    var partial = [Float](repeating: 0, count: pieces * width)
    let dx = partial.withUnsafeMutableBufferPointer { partial in
      Tensor(shape: shape) { out in
        guard let dx = out.baseAddress else { return }
        parallelRanges(height, grain: grain) { range in
          let dw =
            pieces > 0 ? partial.baseAddress?.advanced(by: range.lowerBound / grain * width) : nil
          for i in range {
            let at = i * width
            Kernels.set.rms_norm_pullback(x + at, w, g + at, factors[i], dx + at, dw, width)
          }
        }
      }
    }
    guard pieces > 0 else { return [dx, nil] }
    return [dx, Tensor(partial, shape: [pieces, width]).summedOverRows().relabeled(weight.shape)]
  }
}
