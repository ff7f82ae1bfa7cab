/// Uninitialised 64-byte aligned memory that kernels write in place, for state that grows.
///
/// The system gives large blocks page by page as they are first touched, so room that is never used
/// costs nothing. Not safe to write from several threads where the parts overlap.
public final class WritableMemory {
  private let storage: Storage

  /// Room for `byteCount` bytes.
  public init(byteCount: Int) { storage = Storage(byteCount: byteCount) }

  public var byteCount: Int { storage.byteCount }
  /// Valid as long as this object lives.
  public var base: UnsafeMutableRawPointer { storage.base }
}
