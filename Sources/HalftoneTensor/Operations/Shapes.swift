// Operations that move elements and change none.

extension Tensor {
  /// The same elements in another shape of the same count; dx = dy in the old shape.
  public func reshaped(_ shape: [Int]) -> Tensor {
    precondition(count == Tensor.count(of: shape), "reshape: \(self.shape) to \(shape)")
    let old = self.shape
    return relabeled(shape).recorded(.reshape, [self]) { [$0.relabeled(old)] }
  }

  /// The transpose of a matrix: [a, b] to [b, a]; dx = dyᵀ.
  public func transposed() -> Tensor {
    precondition(shape.count == 2, "transpose: \(shape)")
    return swapped().recorded(.transpose, [self]) { [$0.swapped()] }
  }

  private func swapped() -> Tensor {
    let (x, height, width) = (floats, shape[0], shape[1])
    return Tensor(shape: [width, height]) { out in
      guard let y = out.baseAddress else { return }
      parallelRanges(width, grain: 32) { columns in  // bands narrow enough to stay in cache
        for i in 0..<height { for j in columns { y[j * height + i] = x[i * width + j] } }
      }
    }
  }

  /// Rows `range` along the first axis; dx = dy there, zero elsewhere.
  public func rows(_ range: Range<Int>) -> Tensor {
    let full = shape
    return view(range).recorded(.rows, [self]) { dy in
      let stride = Tensor.count(of: full.dropFirst())
      return [
        Tensor(shape: full) { out in
          out.initialize(repeating: 0)
          dy.withElements {
            out.baseAddress?.advanced(by: range.lowerBound * stride)
              .update(from: $0.baseAddress ?? dy.floats, count: $0.count)
          }
        }
      ]
    }
  }

  /// Tensors joined along the first axis; each gets its rows of dy.
  public static func concatenating(_ parts: [Tensor]) -> Tensor {
    precondition(!parts.isEmpty, "concatenating no tensors")
    let inner = Array(parts[0].shape.dropFirst())
    precondition(parts.allSatisfy { Array($0.shape.dropFirst()) == inner })
    let total = parts.reduce(0) { $0 + $1.shape[0] }
    var starts = [0]
    for part in parts { starts.append(starts[starts.count - 1] + part.count) }
    let joined = Tensor(shape: [total] + inner) { out in
      parallelFor(parts.count) { i in
        parts[i].withElements {
          _ = UnsafeMutableBufferPointer(rebasing: out[starts[i]..<starts[i + 1]]).update(from: $0)
        }
      }
    }
    return joined.recorded(.concatenate, parts) { dy in
      var start = 0
      return parts.map { part in
        defer { start += part.shape[0] }
        return dy.view(start..<start + part.shape[0]).relabeled(part.shape)
      }
    }
  }
}
