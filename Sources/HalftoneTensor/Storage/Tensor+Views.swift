import Foundation

extension Tensor {
  /// Rows `range` along the first axis, sharing storage.
  ///
  /// Not differentiable; see ``rows(_:)``.
  public func view(_ range: Range<Int>) -> Tensor {
    precondition(range.lowerBound >= 0 && range.upperBound <= (shape.first ?? 0))
    let stride = Tensor.count(of: shape.dropFirst()) * elementType.byteCount
    return Tensor(
      storage: storage, byteOffset: byteOffset + range.lowerBound * stride,
      shape: [range.count] + shape.dropFirst(), elementType: elementType)
  }

  /// The same elements, without the gradient graph.
  public var detached: Tensor {
    var copy = self
    copy.node = nil
    return copy
  }

  /// The elements as they are stored, in another shape of the same count, without graph.
  func relabeled(_ shape: [Int]) -> Tensor {
    Tensor(storage: storage, byteOffset: byteOffset, shape: shape, elementType: elementType)
  }
}

extension Tensor {
  /// Whether both are the same elements in memory.
  public func sharesElements(with other: Tensor) -> Bool {
    storage === other.storage && byteOffset == other.byteOffset && shape == other.shape
  }

  /// Whether both have the same shape, type and bytes.
  public func hasSameBits(as other: Tensor) -> Bool {
    guard shape == other.shape, elementType == other.elementType else { return false }
    return withBytes { a in
      other.withBytes { b in
        guard let first = a.baseAddress, let second = b.baseAddress else { return true }
        return memcmp(first, second, a.count) == 0
      }
    }
  }

  /// A copy of this matrix with 0 in `columns`.
  public func zeroing(columns chosen: [Int]) -> Tensor {
    precondition(chosen.allSatisfy { (0..<columns).contains($0) }, "columns \(chosen) of \(shape)")
    return Tensor(shape: shape) { out in
      withElements { _ = out.update(from: $0) }
      for i in 0..<rows { for j in chosen { out[i * columns + j] = 0 } }
    }
  }
}
