/// Which stored row holds each row of a matrix.
public enum RowOrder: Sendable, Equatable {
  case stored
  /// Heads of `width` rows whose rotary pairs lie side by side (2i, 2i + 1) in the file, where the
  /// matrix has them half a head apart (i, i + width/2).
  case interleavedHeads(width: Int)

  /// The stored row that is row `row`.
  public func storedRow(_ row: Int) -> Int {
    switch self {
    case .stored: return row
    case .interleavedHeads(let width):
      let inHead = row % width
      let half = width / 2
      return row - inHead + 2 * (inHead % half) + inHead / half
    }
  }

  /// The row that stored row `stored` holds: the inverse of ``storedRow(_:)``.
  public func row(storedAt stored: Int) -> Int {
    switch self {
    case .stored: return stored
    case .interleavedHeads(let width):
      let inHead = stored % width
      return stored - inHead + inHead % 2 * (width / 2) + inHead / 2
    }
  }

  /// Whether it maps 0..<rows to itself.
  public func fits(rows: Int) -> Bool {
    switch self {
    case .stored: true
    case .interleavedHeads(let width): width > 0 && width % 2 == 0 && rows % width == 0
    }
  }
}
