/// The grids of a weight matrix: one for each row and each group of neighbouring columns.
public struct GridTable: Sendable {
  /// [rows, groups]; [1, groups] where all rows share their grids.
  public var scales: Tensor
  /// Whole numbers, shaped as `scales`.
  public var zeros: Tensor
  public var low: Float
  public var high: Float
  /// Those of a format whose values are not one apart.
  public var levels: LevelTable?
  /// What files store apart from the scales, which are multiples of it: 1 but for two-level scales.
  public var unit: Float
  /// [rows, 1], where the scales of a row are multiples of a float of its own.
  public var rowUnits: Tensor?
  /// What `scales` are in bytes, where they were quantized themselves.
  public var nested: NestedScales?

  public init(
    scales: Tensor, zeros: Tensor, low: Float, high: Float, levels: LevelTable? = nil,
    unit: Float = 1, rowUnits: Tensor? = nil, nested: NestedScales? = nil
  ) {
    precondition(scales.shape.count == 2 && zeros.shape == scales.shape)
    self.scales = scales
    self.zeros = zeros
    self.low = low
    self.high = high
    self.levels = levels
    self.unit = unit
    self.rowUnits = rowUnits
    self.nested = nested
  }

  public var groups: Int { scales.shape[1] }

  /// The row of the table that row `row` of the weights uses.
  func tableRow(_ row: Int) -> Int { scales.shape[0] == 1 ? 0 : row }

  public func grid(row: Int, group: Int) -> ScaledGrid {
    let at = tableRow(row) * groups + group
    return ScaledGrid(
      scale: scales.floats[at], zero: zeros.floats[at], low: low, high: high, levels: levels)
  }

  /// The grid of every element of `weights` [rows, columns] applied, run by run of one grid.
  public func forEachRun(
    rows: Range<Int>, columns: Int,
    _ body: (_ grid: ScaledGrid, _ row: Int, _ elements: Range<Int>) -> Void
  ) {
    precondition(columns % groups == 0, "\(columns) columns in \(groups) groups")
    precondition(
      scales.shape[0] == 1 || rows.upperBound <= scales.shape[0],
      "rows \(rows) of grids \(scales.shape)")
    let width = columns / groups
    for row in rows {
      for group in 0..<groups {
        let start = row * columns + group * width
        body(grid(row: row, group: group), row, start..<start + width)
      }
    }
  }
}
