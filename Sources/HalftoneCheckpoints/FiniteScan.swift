import HalftoneTensor

extension WeightStore {
  /// Reads every element of the float tensor `name` once and looks for NaN and infinity.
  ///
  /// - Throws: `CheckpointError.Code.malformed` naming the tensor and its first such element.
  public func checkFinite(_ name: String) throws {
    let description = try description(of: name)
    let found: Int? = try withBytes(of: name) { bytes in
      let piece = 1 << 26
      for start in stride(from: 0, to: bytes.count, by: piece) {
        let end = min(bytes.count, start + piece)
        let part = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
        if let first = firstNonFinite(part, description.type) {
          return first + start * 8 / description.type.bits
        }
        // A table of words need not be whole in memory.
        if end < bytes.count { evict(name) }
      }
      return nil
    }
    guard let found else { return }
    var rest = found
    let position = description.shape.reversed().map { length in
      defer { rest /= length }
      return rest % length
    }
    throw CheckpointError(
      .malformed,
      "\(path): tensor \(name) holds NaN or infinity, first at \(Array(position.reversed())); "
        + "repair or fetch the checkpoint again")
  }
}

/// The index of the first element of `type` that is NaN or infinite; nil for none, and for integers.
private func firstNonFinite(_ bytes: UnsafeRawBufferPointer, _ type: StoredType) -> Int? {
  switch type {
  case .float32: firstNonFinite(bytes, exponent: UInt32(0x7F80_0000))
  case .bfloat16: firstNonFinite(bytes, exponent: UInt16(0x7F80))
  case .float16: firstNonFinite(bytes, exponent: UInt16(0x7C00))
  case .float64: firstNonFinite(bytes, exponent: UInt64(0x7FF0_0000_0000_0000))
  default: nil
  }
}

/// The index of the first element whose exponent bits are all set.
private func firstNonFinite<Bits: FixedWidthInteger & UnsignedInteger & Sendable>(
  _ bytes: UnsafeRawBufferPointer, exponent: Bits
) -> Int? {
  let size = MemoryLayout<Bits>.size
  let count = bytes.count / size
  let grain = 1 << 18
  var found = [Int](repeating: Int.max, count: (count + grain - 1) / grain)
  found.withUnsafeMutableBufferPointer { found in
    nonisolated(unsafe) let found = found
    parallelRanges(count, grain: grain) { range in
      guard let base = bytes.baseAddress else { return }
      // Without a branch the loop runs at the speed of memory; the search is for the bad case.
      var any: Bits = 0
      for i in range {
        let bits = (base + i * size).loadUnaligned(as: Bits.self) & exponent
        any |= bits == exponent ? 1 : 0
      }
      guard any != 0 else { return }
      found[range.lowerBound / grain] =
        range.first { (base + $0 * size).loadUnaligned(as: Bits.self) & exponent == exponent }
        ?? Int.max
    }
  }
  return found.min().flatMap { $0 == Int.max ? nil : $0 }
}
