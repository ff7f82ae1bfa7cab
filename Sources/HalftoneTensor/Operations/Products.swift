// Matrix products.

extension Tensor {
  /// y = x·Wᵀ for x [.., in] and W [out, in]: [.., out]; dx = dy·W, dW = dyᵀ·x.
  ///
  /// In the ``ProductPrecision`` that holds where it is called, the gradients as well.
  public func linear(_ weight: Tensor) -> Tensor {
    let precision = ProductPrecision.current
    return timesTransposed(weight, precision)
      .recorded(.linear, [self, weight]) { dy in
        [
          needsGradient ? dy.timesMatrix(weight, shape: self.shape, precision) : nil,
          weight.needsGradient ? dy.transposedTimes(self, precision) : nil,
        ]
      }
  }

  /// y = x·B for x [.., k] and B [k, n]: [.., n]; dx = dy·Bᵀ, dB = xᵀ·dy.
  public func matmul(_ other: Tensor) -> Tensor {
    precondition(
      other.shape.count == 2 && other.shape[0] == columns, "matmul: \(shape) by \(other.shape)")
    return timesMatrix(other, shape: shape.dropLast() + [other.shape[1]])
      .recorded(.matmul, [self, other]) { dy in
        [
          needsGradient ? dy.timesTransposed(other).relabeled(self.shape) : nil,
          other.needsGradient ? transposedTimes(dy) : nil,
        ]
      }
  }

  /// self·Wᵀ: [.., in]·[out, in], without graph.
  private func timesTransposed(
    _ weight: Tensor, _ precision: ProductPrecision = .float32
  ) -> Tensor {
    precondition(
      weight.shape.count == 2 && weight.shape[1] == columns,
      "linear: input \(shape), weight \(weight.shape)")
    let (m, n, k) = (rows, weight.shape[0], columns)
    return Tensor(shape: shape.dropLast() + [n]) { out in
      guard let y = out.baseAddress else { return }
      precision.product(
        m, n, k, .init(floats, stride: k), .init(weight.floats, stride: k, transposed: true), y,
        stride: n)
    }
  }

  /// self·B: [rows, k]·[k, n], without graph.
  private func timesMatrix(
    _ b: Tensor, shape: [Int], _ precision: ProductPrecision = .float32
  ) -> Tensor {
    let (m, n, k) = (rows, b.shape[1], b.shape[0])
    return Tensor(shape: shape) { out in
      guard let y = out.baseAddress else { return }
      precision.product(
        m, n, k, .init(floats, stride: k), .init(b.floats, stride: n), y, stride: n)
    }
  }

  /// selfᵀ·B over all rows: [columns, B.columns], without graph.
  func transposedTimes(_ b: Tensor, _ precision: ProductPrecision = .float32) -> Tensor {
    let (m, n, k) = (columns, b.columns, rows)
    return Tensor(shape: [m, n]) { out in
      guard let y = out.baseAddress else { return }
      precision.product(
        m, n, k, .init(floats, stride: m, transposed: true), .init(b.floats, stride: n), y,
        stride: n)
    }
  }
}
