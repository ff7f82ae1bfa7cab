import CHalftoneKernels

// Element-wise arithmetic on tensors of one shape.

/// The elements one thread takes at a time: 64 KiB of floats.
let elementGrain = 1 << 14

extension Tensor {
  /// A new tensor of this shape, filled range by range on several threads.
  func mapped(
    _ body: (_ out: UnsafeMutablePointer<Float>, _ offset: Int, _ count: Int) -> Void
  ) -> Tensor {
    Tensor(shape: shape) { out in
      guard let base = out.baseAddress else { return }
      parallelRanges(out.count, grain: elementGrain) {
        body(base + $0.lowerBound, $0.lowerBound, $0.count)
      }
    }
  }

  func plus(_ other: Tensor) -> Tensor {
    precondition(shape == other.shape, "add: \(shape) and \(other.shape)")
    let (a, b) = (floats, other.floats)
    return mapped { Kernels.set.add(a + $1, b + $1, $0, $2) }
  }

  func times(_ other: Tensor) -> Tensor {
    precondition(shape == other.shape, "multiply: \(shape) and \(other.shape)")
    let (a, b) = (floats, other.floats)
    return mapped { Kernels.set.multiply(a + $1, b + $1, $0, $2) }
  }

  func times(_ factor: Float) -> Tensor {
    let a = floats
    return mapped { Kernels.set.scale(a + $1, factor, $0, $2) }
  }

  /// y = a + b; da = dy, db = dy.
  public static func + (a: Tensor, b: Tensor) -> Tensor {
    a.plus(b).recorded(.add, [a, b]) { [$0, $0] }
  }

  /// y = a − b; da = dy, db = −dy.
  public static func - (a: Tensor, b: Tensor) -> Tensor {
    precondition(a.shape == b.shape, "subtract: \(a.shape) and \(b.shape)")
    let (x, y) = (a.floats, b.floats)
    return a.mapped { Kernels.set.subtract(x + $1, y + $1, $0, $2) }
      .recorded(.subtract, [a, b]) { [$0, b.needsGradient ? $0.times(-1) : nil] }
  }

  /// y = a∘b; da = b∘dy, db = a∘dy.
  public static func * (a: Tensor, b: Tensor) -> Tensor {
    a.times(b).recorded(.multiply, [a, b]) {
      [a.needsGradient ? b.times($0) : nil, b.needsGradient ? a.times($0) : nil]
    }
  }

  /// y = c·a; da = c·dy.
  public static func * (a: Tensor, factor: Float) -> Tensor {
    a.times(factor).recorded(.scale, [a]) { [$0.times(factor)] }
  }

  /// The row vector added to every row, as a bias: y = x + b; dx = dy, db = Σ_rows dy.
  public func addingRow(_ row: Tensor) -> Tensor {
    precondition(row.count == columns, "a row of \(row.count) added to \(shape)")
    let (x, b, width) = (floats, row.floats, columns)
    return Tensor(shape: shape) { out in
      guard let y = out.baseAddress else { return }
      parallelRanges(rows, grain: max(1, elementGrain / width)) { range in
        for i in range { Kernels.set.add(x + i * width, b, y + i * width, width) }
      }
    }
    .recorded(.addRow, [self, row]) { dy in
      [dy, row.needsGradient ? dy.summedOverRows().relabeled(row.shape) : nil]
    }
  }

  /// Σ over rows, added in order: [columns].
  func summedOverRows() -> Tensor {
    let (x, width, height) = (floats, columns, rows)
    return Tensor(shape: [width]) { out in
      out.initialize(repeating: 0)
      guard let y = out.baseAddress else { return }
      for i in 0..<height { Kernels.set.axpy(x + i * width, 1, y, width) }
    }
  }
}
