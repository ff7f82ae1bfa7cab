import Foundation

/// Memory for one kind of intermediate values: grows to the largest request, is reused by the next
/// pass, and holds nothing from one pass to another.
final class Scratch<Element: BitwiseCopyable> {
  private(set) var base: UnsafeMutablePointer<Element>
  private var capacity: Int

  init() {
    capacity = 64
    base = Self.allocate(capacity)
  }

  deinit { free(base) }

  private static func allocate(_ count: Int) -> UnsafeMutablePointer<Element> {
    // Rounded up so that kernels may read whole vectors.
    let byteCount = (count * MemoryLayout<Element>.stride + 127) / 64 * 64
    var memory: UnsafeMutableRawPointer?
    guard posix_memalign(&memory, 64, byteCount) == 0, let memory else {
      fatalError("no memory for \(byteCount) bytes of intermediate values")
    }
    return memory.bindMemory(to: Element.self, capacity: count)
  }

  /// Room for `count` elements, whose contents are undefined.
  @discardableResult
  func reserve(_ count: Int) -> UnsafeMutablePointer<Element> {
    if count > capacity {
      free(base)
      base = Self.allocate(count)
      capacity = count
    }
    return base
  }
}
