public import CHalftoneKernels
import Foundation
import HalftoneTensor

/// Keys and values of the positions seen so far, of one sequence in all blocks of a network.
///
/// A reference that one thread at a time may change. A forward pass over `n` new positions checks
/// that they fit with ``reserve(_:)``, stores them in each block from position ``count`` on through
/// ``withCache(block:_:)``, and ends with ``advance(by:)``. Memory is only used for positions that
/// were written.
public final class SequenceCache {
  /// The most elements that a head's key may have.
  public static let largestWidth = 512

  public let type: CacheType
  /// The most positions it holds.
  public let capacity: Int
  /// The positions that all blocks hold.
  public private(set) var count = 0
  /// The number of blocks of the network.
  public var blockCount: Int { caches.count }
  /// The bytes of all positions up to the capacity.
  public let byteCount: Int

  private let caches: [halftone_cache]
  private let memory: [WritableMemory]

  /// An empty cache of `blocks` blocks, each with `keyHeads` heads of `width` elements.
  ///
  /// - Throws: ``SequenceCacheError`` if the kernels do not take that width, or the machine has less
  ///   memory than a full cache needs.
  public init(blocks: Int, keyHeads: Int, width: Int, capacity: Int, type: CacheType)
    throws(SequenceCacheError)
  {
    precondition(
      blocks > 0 && keyHeads > 0 && width > 0 && capacity > 0,
      "a cache of \(blocks) blocks, \(keyHeads) heads of \(width), \(capacity) positions")
    guard width.isMultiple(of: 2), width <= Self.largestWidth else {
      throw SequenceCacheError(
        description: "heads of \(width) elements cannot be cached; widths are even and at most "
          + "\(Self.largestWidth)")
    }
    let layout = BlockLayout(keyHeads: keyHeads, width: width, capacity: capacity, type: type)
    let total = layout.flatMap { layout in
      let (bytes, overflow) = layout.byteCount.multipliedReportingOverflow(by: blocks)
      return overflow ? nil : bytes
    }
    guard let layout, let total, total <= ProcessInfo.processInfo.physicalMemory else {
      throw SequenceCacheError(
        description: "a cache of \(capacity) positions in \(blocks) blocks of \(keyHeads)×\(width) "
          + "elements (\(type.rawValue)) needs more memory than this machine has; ask for fewer "
          + "positions or a smaller type")
    }
    let memory = (0..<blocks).map { _ in WritableMemory(byteCount: layout.byteCount) }
    (self.type, self.capacity, self.memory) = (type, capacity, memory)
    caches = memory.map { layout.cache(in: $0.base) }
    byteCount = total
  }

  /// Checks that `positions` more fit, before a forward pass.
  ///
  /// - Throws: ``KeyValueCacheError`` if they do not.
  public func reserve(_ positions: Int) throws(KeyValueCacheError) {
    precondition(positions >= 0, "\(positions) positions reserved")
    guard positions <= capacity - count else {
      throw KeyValueCacheError(capacity: capacity, count: count, requested: positions)
    }
  }

  /// Counts `positions` that every block has stored.
  public func advance(by positions: Int) {
    precondition(
      positions >= 0 && positions <= capacity - count, "\(positions) more than \(count)/\(capacity)"
    )
    count += positions
  }

  /// Forgets the positions from `count` on.
  public func truncate(to count: Int) {
    precondition(count >= 0 && count <= self.count, "\(self.count) positions cut to \(count)")
    self.count = count
  }

  /// The memory of `block` for the kernels, valid inside `body`.
  public func withCache<R>(
    block: Int, _ body: (UnsafePointer<halftone_cache>) throws -> R
  ) rethrows -> R {
    try withExtendedLifetime(memory) { try withUnsafePointer(to: caches[block], body) }
  }
}

/// A cache that cannot be made; the description says why and what to do.
public struct SequenceCacheError: Error, Equatable, CustomStringConvertible {
  public let description: String
}

/// Where the four arrays of one block lie in its memory, each at a multiple of 64 bytes.
private struct BlockLayout {
  let keyHeads: Int
  let width: Int
  let type: CacheType
  /// Positions in whole blocks of sixteen, as the kernels take them.
  let capacity: Int
  let codeBytes: Int
  let scaleBytes: Int
  let byteCount: Int

  /// None if the bytes cannot be counted.
  init?(keyHeads: Int, width: Int, capacity: Int, type: CacheType) {
    let row = Int(halftone_cache_row_bytes(type.kernelType, width))
    let scales = 4 * type.scaleCount(width: width)
    let (positions, tooLong) = capacity.addingReportingOverflow(15)
    let (rows, tooMany) = (positions / 16 * 16).multipliedReportingOverflow(by: keyHeads)
    // Four times as many bytes as the larger array has are more than all need together.
    let (most, tooLarge) = rows.multipliedReportingOverflow(by: 4 * (row + scales))
    guard !tooLong, !tooMany, !tooLarge, most <= Int.max - 64 else { return nil }
    (self.keyHeads, self.width, self.type) = (keyHeads, width, type)
    self.capacity = positions / 16 * 16
    codeBytes = (rows * row + 63) / 64 * 64
    scaleBytes = (rows * scales + 63) / 64 * 64
    byteCount = 2 * (codeBytes + scaleBytes)
  }

  func cache(in base: UnsafeMutableRawPointer) -> halftone_cache {
    func scales(_ index: Int) -> UnsafeMutablePointer<Float>? {
      guard scaleBytes > 0 else { return nil }
      return (base + 2 * codeBytes + index * scaleBytes).bindMemory(
        to: Float.self, capacity: scaleBytes / 4)
    }
    return halftone_cache(
      type: type.kernelType, key_heads: keyHeads, width: width, capacity: capacity, keys: base,
      values: base + codeBytes, key_scales: scales(0), value_scales: scales(1))
  }
}
