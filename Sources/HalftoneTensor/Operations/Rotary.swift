import CHalftoneKernels

/// Rotary position embedding of Su et al. (2021), halves paired as in the Hugging Face layout.
extension Tensor {
  /// Rotates each head of x [positions, heads·headWidth] by its position's angles.
  ///
  /// `cosine` and `sine` are [positions, headWidth/2]; rows of x repeat with their period, so that x
  /// may hold several sequences. dx is dy rotated by the negative angles.
  public func rotary(cosine: Tensor, sine: Tensor) -> Tensor {
    rotated(cosine, sine).recorded(.rotary, [self]) { dy in [dy.rotated(cosine, sine.times(-1))] }
  }

  private func rotated(_ cosine: Tensor, _ sine: Tensor) -> Tensor {
    let (half, period, width) = (cosine.columns, cosine.rows, columns)
    precondition(
      width % (2 * half) == 0 && rows % period == 0 && cosine.shape == sine.shape,
      "rotary: \(shape) by \(cosine.shape)")
    let (x, c, s) = (floats, cosine.floats, sine.floats)
    return Tensor(shape: shape) { out in
      guard let y = out.baseAddress else { return }
      parallelRanges(rows, grain: max(1, elementGrain / width)) { range in
        for i in range {
          let angles = i % period * half
          for head in stride(from: i * width, to: (i + 1) * width, by: 2 * half) {
            Kernels.set.rotate(x + head, c + angles, s + angles, y + head, half)
          }
        }
      }
    }
  }
}
