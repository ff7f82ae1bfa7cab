import Foundation
import Synchronization

/// A large run of memory in large pages that several lasting tensors share.
///
/// Weights are read from end to end for every token; in small pages, the translation of addresses
/// and the end of each page hold that up, and most weights are too small for large pages of their own.
final class Slab: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  private static let smallest = 1 << 26
  private static let largePage = 1 << 21

  /// The slab that is being filled, and how far.
  private static let current = Mutex<(slab: Slab?, used: Int)>((nil, 0))

  private init(byteCount: Int) {
    self.byteCount = (byteCount + Self.largePage - 1) / Self.largePage * Self.largePage
    base = .allocate(byteCount: self.byteCount, alignment: Self.largePage)
    #if os(Linux)
    madvise(base, self.byteCount, MADV_HUGEPAGE)
    #endif
  }

  deinit { base.deallocate() }

  /// Room for `byteCount` bytes at a multiple of 64; it is there as long as the slab lives.
  static func take(_ byteCount: Int) -> (slab: Slab, base: UnsafeMutableRawPointer) {
    let size = max(64, (byteCount + 63) / 64 * 64)
    return current.withLock { current in
      if let slab = current.slab, slab.byteCount - current.used >= size {
        defer { current.used += size }
        return (slab, slab.base + current.used)
      }
      let slab = Slab(byteCount: max(smallest, size))
      // What is left of a slab is lost, so the fuller one is kept out of use.
      current = (slab, size)
      return (slab, slab.base)
    }
  }
}
