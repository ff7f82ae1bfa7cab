import CHalftoneKernels

// Sums, and the objectives that end in one number.

extension Tensor {
  /// Σ over all elements, by ranges of fixed size added in order: shape [].
  public func sum() -> Tensor {
    let x = floats
    return Tensor([orderedSum { Kernels.set.sum(x + $0, $1) }], shape: [])
      .recorded(.sum, [self]) { [Tensor(repeating: $0.scalar, shape: self.shape)] }
  }

  /// The mean over all elements: shape [].
  public func mean() -> Tensor {
    let (x, n) = (floats, Float(count))
    return Tensor([orderedSum { Kernels.set.sum(x + $0, $1) } / n], shape: [])
      .recorded(.mean, [self]) { [Tensor(repeating: $0.scalar / n, shape: self.shape)] }
  }

  /// Adds `part(offset, count)` over ranges of fixed size, in `Double`, in order.
  func orderedSum(_ part: (Int, Int) -> Float) -> Float {
    let pieces = (count + elementGrain - 1) / elementGrain
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: max(1, pieces)) { sums in
      guard let base = sums.baseAddress else { return 0 }
      parallelRanges(count, grain: elementGrain) {
        base[$0.lowerBound / elementGrain] = part($0.lowerBound, $0.count)
      }
      return Float((0..<pieces).reduce(0.0) { $0 + Double(base[$1]) })
    }
  }

  /// The reconstruction loss: Σ (y − target)² / divisor, with dy = 2·(y − target)/divisor.
  ///
  /// The target takes no gradient.
  public func squaredError(to target: Tensor, dividedBy divisor: Float) -> Tensor {
    precondition(shape == target.shape, "squaredError: \(shape) and \(target.shape)")
    let (y, t) = (floats, target.floats)
    let total = orderedSum { Kernels.set.squared_distance(y + $0, t + $0, $1) }
    return Tensor([total / divisor], shape: []).recorded(.squaredError, [self]) { dy in
      let (y, t) = (self.floats, target.floats)
      let factor = 2 * dy.scalar / divisor
      return [
        mapped {
          Kernels.set.subtract(y + $1, t + $1, $0, $2)
          Kernels.set.scale($0, factor, $0, $2)
        }
      ]
    }
  }
}

extension Tensor {
  /// Σ of `part` over pieces of `step` rows of this matrix, each a tensor of one element: shape [].
  ///
  /// The gradient with respect to a piece is found as soon as its part is, so that what leads to one
  /// part is gone before the next. Nothing else that `part` reads takes a gradient.
  public func summed(byRows step: Int, _ part: (_ piece: Tensor, _ rows: Range<Int>) -> Tensor)
    -> Tensor
  {
    precondition(shape.count == 2 && step > 0, "summed: \(shape) by \(step) rows")
    var total = 0.0
    var gradients: [Tensor] = []
    for start in stride(from: 0, to: rows, by: step) {
      let rows = start..<min(rows, start + step)
      let piece = detached.view(rows)
      let leaf = needsGradient ? piece.tracked() : piece
      let value = part(leaf, rows)
      total += Double(value.scalar)
      if needsGradient { gradients += value.gradients(of: [leaf]) }
    }
    return Tensor([Float(total)], shape: []).recorded(.summedByRows, [self]) { dy in
      [gradients.isEmpty ? self.detached : .concatenating(gradients) * dy.scalar]
    }
  }
}

extension Tensor {
  /// Whether every element is a finite number.
  public var isFinite: Bool {
    withElements { x in
      let range = Kernels.extrema(x)
      return x.isEmpty || range.minimum.isFinite && range.maximum.isFinite
    }
  }
}
