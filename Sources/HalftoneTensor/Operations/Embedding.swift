import CHalftoneKernels

extension Tensor {
  /// Row `ids[i]` of this table [words, width] for each i: [ids.count, width]; dy is added back to
  /// the rows it came from, in order.
  public func embedding(_ ids: [Int]) -> Tensor {
    precondition(shape.count == 2 && ids.allSatisfy { (0..<shape[0]).contains($0) })
    let (width, table) = (columns, floats)
    return Tensor(shape: [ids.count, width]) { out in
      guard let y = out.baseAddress else { return }
      for (i, id) in ids.enumerated() {
        (y + i * width).update(from: table + id * width, count: width)
      }
    }
    .recorded(.embedding, [self]) { dy in
      let g = dy.floats
      return [
        Tensor(shape: self.shape) { out in
          out.initialize(repeating: 0)
          guard let dx = out.baseAddress else { return }
          for (i, id) in ids.enumerated() {
            Kernels.set.axpy(g + i * width, 1, dx + id * width, width)
          }
        }
      ]
    }
  }
}
