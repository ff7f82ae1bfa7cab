public import HalftoneTensor

/// A matrix of low rank as two factors, which is added to a quantized one: Ŵ + A·B.
public struct LowRankFactors: Sendable {
  /// A: [rows, rank], in the type it is stored in.
  public let left: Tensor
  /// B: [rank, columns].
  public let right: Tensor

  /// - Throws: ``SchemeError`` for factors that do not fit each other.
  public init(left: Tensor, right: Tensor) throws(SchemeError) {
    guard left.shape.count == 2, right.shape.count == 2, left.shape[1] == right.shape[0],
      !left.shape.contains(0), !right.shape.contains(0)
    else {
      throw SchemeError("low-rank factors \(left.shape) and \(right.shape) have no product")
    }
    self.left = left
    self.right = right
  }

  public var rank: Int { right.shape[0] }

  /// [rows, columns].
  public var shape: [Int] { [left.shape[0], right.shape[1]] }

  public var byteCount: Int {
    left.count * left.elementType.byteCount + right.count * right.elementType.byteCount
  }

  /// A·B as floats.
  public func product() -> Tensor { left.float().matmul(right.float()) }

  /// x·Bᵀ·Aᵀ for x [tokens, columns].
  public func callAsFunction(_ x: Tensor) -> Tensor {
    x.linear(right.float()).linear(left.float())
  }

  /// The factors of the sum of both products.
  public func adding(_ other: LowRankFactors) throws(SchemeError) -> LowRankFactors {
    guard shape == other.shape, left.elementType == other.left.elementType,
      right.elementType == other.right.elementType
    else {
      throw SchemeError("low-rank factors of \(shape) and \(other.shape) cannot be added")
    }
    let size = left.elementType.byteCount
    let joined = Tensor(
      shape: [shape[0], rank + other.rank], elementType: left.elementType
    ) { out in
      for (factor, start) in [(left, 0), (other.left, rank)] {
        factor.withBytes { bytes in
          let width = factor.shape[1] * size
          for row in 0..<shape[0] {
            let target = (row * (rank + other.rank) + start) * size
            UnsafeMutableRawBufferPointer(rebasing: out[target..<target + width])
              .copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[row * width..<(row + 1) * width]))
          }
        }
      }
    }
    let stacked = Tensor(
      shape: [rank + other.rank, shape[1]], elementType: right.elementType
    ) { out in
      right.withBytes { first in
        out.copyMemory(from: first)
        other.right.withBytes { second in
          UnsafeMutableRawBufferPointer(rebasing: out[first.count...]).copyMemory(from: second)
        }
      }
    }
    return try LowRankFactors(left: joined, right: stacked)
  }
}
