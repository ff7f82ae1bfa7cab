import CHalftoneKernels

// Activations rounded to a grid and back, with straight-through gradients.

extension Tensor {
  /// One grid for all elements, whose step is learned (LSQ, Esser and others 2020).
  ///
  /// y = (clamp(round(x/s) + z, low, high) − z)·s for the step s, a tensor of one element; with `levels`
  /// the nearest of them, times s.
  /// dx = dy inside the range, else 0; ds = gradientScale · Σ dy·(inside ? round(x/s) − x/s :
  /// clamped code − z).
  public func fakeQuantized(
    step: Tensor, zero: Float, low: Float, high: Float, levels: LevelTable? = nil,
    gradientScale: Float = 1
  ) -> Tensor {
    let grid = ScaledGrid(
      scale: step.scalar, zero: zero, low: low, high: high, levels: levels
    ).parameters
    let x = floats
    return mapped { Kernels.set.round_trip(x + $1, grid, $0, $2) }
      .recorded(.fakeQuantize, [self, step]) { dy in
        let (x, g) = (self.floats, dy.floats)
        var ds: Float = 0
        let dx = Tensor(shape: self.shape) { out in
          guard let dx = out.baseAddress else { return }
          ds = orderedSum { Kernels.set.round_trip_pullback(x + $0, grid, g + $0, dx + $0, $1) }
        }
        return [dx, Tensor([ds * gradientScale], shape: step.shape)]
      }
  }

  /// Each row on a grid of its own that covers the row: dynamic per-token quantization.
  ///
  /// Elements whose magnitude reaches `outlierThreshold` stay as they are, and the grid covers the others.
  /// dx = dy everywhere, for the grid covers its row: a largest element that rounds half a step beyond the
  /// last code lies at the range's end, not outside it. The grid takes no gradient.
  public func fakeQuantizedTokens(
    bits: Int, symmetric: Bool, levels: LevelTable? = nil, outlierThreshold: Float? = nil
  ) -> Tensor {
    let (x, width) = (floats, columns)
    return Tensor(shape: shape) { out in
      guard let y = out.baseAddress else { return }
      parallelRanges(rows, grain: max(1, elementGrain / width)) { range in
        for i in range {
          Kernels.roundTrip(
            UnsafeBufferPointer(start: x + i * width, count: width), bits: bits,
            symmetric: symmetric, levels: levels, keepingFrom: outlierThreshold,
            UnsafeMutableBufferPointer(start: y + i * width, count: width))
        }
      }
    }
    .recorded(.fakeQuantizeTokens, [self]) { dy in [dy] }
  }
}

extension Kernels {
  /// A row on a grid that covers it, less the elements whose magnitude reaches `threshold`, which stay.
  public static func roundTrip(
    _ x: UnsafeBufferPointer<Float>, bits: Int, symmetric: Bool, levels: LevelTable?,
    keepingFrom threshold: Float?, _ out: UnsafeMutableBufferPointer<Float>
  ) {
    var rounded = x
    if let threshold {
      for i in x.indices { out[i] = abs(x[i]) >= threshold ? 0 : x[i] }
      rounded = UnsafeBufferPointer(out)
    }
    let range = extrema(rounded)
    let grid = ScaledGrid(
      covering: range.minimum, range.maximum, bits: bits, symmetric: symmetric, levels: levels)
    roundTrip(rounded, grid, out)
    guard let threshold else { return }
    for i in x.indices where abs(x[i]) >= threshold { out[i] = x[i] }
  }
}
