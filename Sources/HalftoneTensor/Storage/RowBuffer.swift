/// Float rows in memory reserved once, to which rows are added in place.
///
/// Rows are never overwritten, so the views handed out stay what they were. Not safe to append to
/// from several threads.
public final class RowBuffer {
  private let storage: Storage
  public let capacity: Int
  public let width: Int
  public private(set) var count = 0

  /// Room for `capacity` rows of `width` elements.
  public init(capacity: Int, width: Int) {
    precondition(capacity > 0 && width > 0, "a buffer of \(capacity) rows of \(width)")
    self.capacity = capacity
    self.width = width
    storage = Storage(byteCount: capacity * width * 4)
  }

  /// Adds the rows of `rows` [n, width]; there must be room.
  public func append(_ rows: Tensor) {
    precondition(
      rows.columns == width && rows.rows <= capacity - count,
      "\(rows.shape) appended to \(count) of \(capacity) rows of \(width)")
    rows.withElements { source in
      let end = storage.base.assumingMemoryBound(to: Float.self) + count * width
      if let from = source.baseAddress { end.update(from: from, count: source.count) }
    }
    count += rows.rows
  }

  /// All rows so far, sharing this memory: [count, width].
  public var rows: Tensor {
    Tensor(storage: storage, byteOffset: 0, shape: [count, width], elementType: .float32)
  }
}
