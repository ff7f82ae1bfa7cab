extension WeightScheme {
  /// Whether a matrix [rows, columns] has as many groups as the scheme's scales need.
  ///
  /// - Throws: `SchemeError` if not, or if groups do not divide the matrix.
  public func check(rows: Int, columns: Int) throws(SchemeError) {
    let table = try granularity.tableShape(rows: rows, columns: columns)
    guard !scales.hasRowUnits || (table.rows > 1 && table.columns > 1) else {
      throw SchemeError(
        "scales: \(scales.rawValue) needs several rows and several groups in each; use a smaller "
          + "group, or scales: float")
    }
    guard scales != .nested || table.rows * table.columns > 1 else {
      throw SchemeError(
        "scales: \(scales.rawValue) needs several groups; use granularity: group, or scales: float")
    }
  }
}

/// Which elements share a scale.
public enum Granularity: Sendable, Hashable {
  /// All of them.
  case tensor
  /// Those of one output channel: a row of a weight matrix.
  case channel
  /// So many neighbouring elements of a row.
  case group(Int)
  /// Those of one token: a row of activations.
  case token
  /// A tile of a weight matrix.
  case block(rows: Int, columns: Int)

  /// Rows and columns of the table of scales for a matrix [rows, columns].
  ///
  /// - Throws: `SchemeError` if a group or block does not divide the matrix, or the matrix is empty.
  public func tableShape(rows: Int, columns: Int) throws(SchemeError) -> (rows: Int, columns: Int) {
    guard rows > 0, columns > 0 else {
      throw SchemeError("a [\(rows), \(columns)] matrix has no elements to quantize")
    }
    switch self {
    case .tensor: return (1, 1)
    case .channel, .token: return (rows, 1)
    case .group(let size):
      guard size > 0, columns % size == 0 else {
        throw SchemeError(
          "groups of \(size) do not divide rows of \(columns) elements; "
            + "use a divisor of \(columns), or granularity: channel")
      }
      return (rows, columns / size)
    case .block(let height, let width):
      guard height > 0, width > 0, rows % height == 0, columns % width == 0 else {
        throw SchemeError(
          "blocks of \(height) × \(width) do not divide a [\(rows), \(columns)] matrix")
      }
      return (rows / height, columns / width)
    }
  }
}
