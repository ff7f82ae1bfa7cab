extension Tensor {
  /// The same numbers as `Float`, without graph; itself if they are already and aligned.
  public func float() -> Tensor {
    if elementType == .float32, (Int(bitPattern: storage.base) + byteOffset) % 4 == 0 {
      return self
    }
    return withBytes { bytes in
      Tensor(shape: shape) { out in
        guard let source = bytes.baseAddress, let target = out.baseAddress else { return }
        let size = elementType.byteCount
        parallelRanges(out.count, grain: 1 << 16) { range in
          Kernels.convert(
            source + range.lowerBound * size, elementType, to: target + range.lowerBound,
            range.count)
        }
      }
    }
  }

  /// Rows `range` of a matrix of any storage type as floats in `out`, on the caller's thread.
  public func readRows(_ range: Range<Int>, into out: UnsafeMutableBufferPointer<Float>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of \(shape)")
    precondition(out.count == range.count * columns, "\(out.count) floats for rows \(range)")
    guard let target = out.baseAddress else { return }
    withBytes { bytes in
      guard let source = bytes.baseAddress else { return }
      Kernels.convert(
        source + range.lowerBound * columns * elementType.byteCount, elementType, to: target,
        out.count)
    }
  }

  /// The same numbers rounded to `type`: to nearest, ties to even; integers saturate.
  public func converted(to type: ElementType) -> Tensor {
    if type == elementType { return self }
    let source = float()
    return Tensor(shape: shape, elementType: type) { out in
      source.withElements { Kernels.convert($0, to: type, out) }
    }
  }

  /// A copy in memory of its own, for a tensor over a mapped file that may be replaced.
  public func copied() -> Tensor {
    Tensor(shape: shape, elementType: elementType) { out in
      withBytes { out.copyMemory(from: $0) }
    }
  }
}
