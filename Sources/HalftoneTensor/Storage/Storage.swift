import Foundation
import Synchronization

/// The bytes behind tensors: 64-byte aligned memory of our own, or part of a mapped file.
///
/// The only type that allocates. Freed blocks are kept for reuse, because fresh pages from the
/// system cost more than the arithmetic on them.
final class Storage: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  private let owner: Owner

  /// Where elements of empty files would begin.
  nonisolated(unsafe) private static let nothing = UnsafeMutableRawPointer.allocate(
    byteCount: 64, alignment: 64)

  private enum Owner {
    case allocated
    case slab(Slab)
    case mapped(MappedFile)
  }

  init(byteCount: Int) {
    precondition(byteCount >= 0)
    self.byteCount = byteCount
    base = BlockCache.shared.take(byteCount)
    owner = .allocated
  }

  /// Memory in large pages, for weights.
  init(lasting byteCount: Int) {
    precondition(byteCount >= 0)
    self.byteCount = byteCount
    let (slab, base) = Slab.take(byteCount)
    self.base = base
    owner = .slab(slab)
  }

  init(file: MappedFile, offset: Int, byteCount: Int) {
    precondition(offset >= 0 && byteCount >= 0 && offset <= file.bytes.count - byteCount)
    self.byteCount = byteCount
    // Never written: tensors are values, and only fresh allocations are filled.
    base =
      file.bytes.baseAddress.map { UnsafeMutableRawPointer(mutating: $0 + offset) }
      ?? Self.nothing
    owner = .mapped(file)
  }

  /// Tells the system that the pages of a mapped file will not be needed again soon.
  func evict() {
    guard case .mapped(let file) = owner, let start = file.bytes.baseAddress else { return }
    let offset = UnsafeRawPointer(base) - start
    file.evict(offset..<offset + byteCount)
  }

  deinit {
    if case .allocated = owner { BlockCache.shared.give(base, byteCount) }
  }
}

/// The memory behind all tensors.
public enum TensorMemory {
  /// Gives the blocks that are kept for reuse back to the system.
  public static func releaseUnused() { BlockCache.shared.empty() }
}

/// Freed blocks by size, up to a bounded total; a full cache is emptied, lest sizes that are no longer
/// asked for keep out those that are.
private final class BlockCache: Sendable {
  static let shared = BlockCache()
  private static let smallest = 1 << 14
  private static let capacity = 1 << 29

  private struct State: @unchecked Sendable {
    var free: [Int: [UnsafeMutableRawPointer]] = [:]
    var total = 0
  }
  private let state = Mutex(State())

  func take(_ byteCount: Int) -> UnsafeMutableRawPointer {
    let size = max(64, (byteCount + 63) / 64 * 64)
    if size >= Self.smallest {
      let cached = state.withLock { state -> UnsafeMutableRawPointer? in
        guard let block = state.free[size]?.popLast() else { return nil }
        state.total -= size
        return block
      }
      if let cached { return cached }
    }
    return .allocate(byteCount: size, alignment: 64)
  }

  func empty() {
    state.withLock { state in
      for block in state.free.values.joined() { block.deallocate() }
      (state.free, state.total) = ([:], 0)
    }
  }

  func give(_ block: UnsafeMutableRawPointer, _ byteCount: Int) {
    let size = max(64, (byteCount + 63) / 64 * 64)
    let kept =
      size >= Self.smallest
      && state.withLock { state in
        guard size <= Self.capacity else { return false }
        if state.total + size > Self.capacity {
          for block in state.free.values.joined() { block.deallocate() }
          (state.free, state.total) = ([:], 0)
        }
        state.total += size
        state.free[size, default: []].append(block)
        return true
      }
    if !kept { block.deallocate() }
  }
}
