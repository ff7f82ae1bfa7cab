/// The largest elements of an array.
package enum LargestElements {
  /// Marks the `count` largest of non-negative `magnitudes`; of equal ones the first.
  package static func mark(_ count: Int, of magnitudes: [Float]) -> [Bool] {
    guard count < magnitudes.count else {
      return [Bool](repeating: true, count: magnitudes.count)
    }
    // The bits of non-negative floats are ordered as they are.
    let least = nth(count, of: magnitudes.map(\.bitPattern))
    var ties = count - magnitudes.count { $0.bitPattern > least }
    return magnitudes.map { magnitude in
      guard magnitude.bitPattern == least else { return magnitude.bitPattern > least }
      ties -= 1
      return ties >= 0
    }
  }

  /// The `count`-th largest, by the upper half of the bits and then by the lower.
  private static func nth(_ count: Int, of words: [UInt32]) -> UInt32 {
    var left = count
    var prefix: UInt32 = 0
    for shift in [UInt32(16), 0] {
      var histogram = [Int](repeating: 0, count: 1 << 16)
      for word in words where shift == 16 || word >> 16 == prefix >> 16 {
        histogram[Int(word >> shift & 0xffff)] += 1
      }
      var bin = histogram.count - 1
      while bin > 0, histogram[bin] < left {
        left -= histogram[bin]
        bin -= 1
      }
      prefix |= UInt32(bin) << shift
    }
    return prefix
  }
}
