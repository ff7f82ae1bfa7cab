import HalftoneSchemes
import HalftoneTensor

/// What does not change while a layer is solved; columns stand in the order in which they are rounded.
private struct GPTQLayout {
  let rows: Int
  let columns: Int
  let groups: Int
  let tableRows: Int
  let scheme: WeightScheme
  let order: [Int]
  /// The group of each column.
  let group: [Int]
  let upper: [Float]
  /// The grids of a range search, and one whose scale and zero are still to be set.
  let family: GridFamily
  let grid: ScaledGrid
  /// Those found before the first column.
  let grids: GridTable
  /// Whether a group's grid is found from the updated weights when its first column is reached.
  let regroups: Bool

  /// Columns that share a grid.
  var width: Int { columns / groups }
}

/// The state of one layer while it is solved.
struct GPTQRun {
  private let layout: GPTQLayout
  private var w: [Float]
  private var codes: [Int8]
  private var scales: [Float]
  private var zeros: [Float]

  init(
    weights: Tensor, scheme: WeightScheme, order: [Int], upper: SquareMatrix, regroups: Bool,
    grids: GridTable
  ) {
    let (rows, n) = (weights.rows, weights.columns)
    layout = GPTQLayout(
      rows: rows, columns: n, groups: grids.groups, tableRows: grids.scales.shape[0],
      scheme: scheme, order: order, group: order.map { $0 / (n / grids.groups) },
      upper: upper.elements.map(Float.init), family: scheme.family(for: weights),
      grid: ScaledGrid(scale: 1, low: grids.low, high: grids.high, levels: grids.levels),
      grids: grids,
      regroups: regroups && grids.groups > 1)
    (scales, zeros) = (grids.scales.values, grids.zeros.values)
    codes = [Int8](repeating: 0, count: rows * n)
    w = [Float](repeating: 0, count: rows * n)
    let source = weights.values
    for i in 0..<rows { for j in 0..<n { w[i * n + j] = source[i * n + order[j]] } }
  }

  mutating func solve(blockSize: Int) {
    let width = layout.width
    // Blocks end where groups do, so that a group's grid sees every earlier column's error.
    let block = layout.regroups ? max(1, blockSize / width) * width : blockSize
    for start in stride(from: 0, to: layout.columns, by: block) {
      solve(start..<min(start + block, layout.columns))
    }
  }

  private mutating func solve(_ block: Range<Int>) {
    let layout = layout
    var errors = [Float](repeating: 0, count: layout.rows * block.count)
    w.withUnsafeMutableBufferPointer { w in
      codes.withUnsafeMutableBufferPointer { codes in
        scales.withUnsafeMutableBufferPointer { scales in
          zeros.withUnsafeMutableBufferPointer { zeros in
            errors.withUnsafeMutableBufferPointer { errors in
              let row = GPTQRow(
                layout: layout, block: block, w: w, codes: codes, scales: scales, zeros: zeros,
                errors: errors)
              parallelRanges(layout.rows, grain: 8) { for i in $0 { row.solve(i) } }
            }
          }
        }
      }
    }
    guard block.upperBound < layout.columns else { return }
    w.withUnsafeMutableBufferPointer { w in  // W −= E·U for the columns to the right
      MatrixProduct.accumulate(
        -1, errors, rows: layout.rows, layout.upper, rowStride: layout.columns, in: block,
        columns: block.upperBound..<layout.columns, into: w)
    }
  }

  func quantized() throws -> QuantizedTensor {
    let (rows, columns) = (layout.rows, layout.columns)
    let stored = Tensor(shape: [rows, columns], elementType: .int8) { bytes in
      let out = bytes.bindMemory(to: Int8.self)
      for i in 0..<rows {
        for j in 0..<columns { out[i * columns + layout.order[j]] = codes[i * columns + j] }
      }
    }
    let table = [layout.tableRows, layout.groups]
    try layout.scheme.scales.check(scales)
    return try QuantizedTensor(
      shape: [rows, columns], format: layout.scheme.format, codes: stored,
      levels: layout.grids.levels(Tensor(scales, shape: table)),
      zeroPoints: zeros.contains { $0 != 0 } ? Tensor(zeros, shape: table) : nil,
      nested: layout.grids.nested)
  }
}

/// One row of a block: rows do not touch each other.
private struct GPTQRow {
  let layout: GPTQLayout
  let block: Range<Int>
  let w: UnsafeMutableBufferPointer<Float>
  let codes: UnsafeMutableBufferPointer<Int8>
  let scales: UnsafeMutableBufferPointer<Float>
  let zeros: UnsafeMutableBufferPointer<Float>
  let errors: UnsafeMutableBufferPointer<Float>

  func solve(_ i: Int) {
    let (n, count, first) = (layout.columns, block.count, block.lowerBound)
    var grid = layout.grid
    let table = (layout.tableRows == 1 ? 0 : i) * layout.groups
    let row = UnsafeMutableBufferPointer(rebasing: w[i * n + first..<i * n + block.upperBound])
    layout.upper.withUnsafeBufferPointer { upper in
      for j in block {
        let cell = table + layout.group[j]
        if layout.regroups, j % layout.width == 0 { regroup(i, j, cell) }
        (grid.scale, grid.zero) = (scales[cell], zeros[cell])
        let x = row[j - first]
        let (level, code) = grid.choice(nearest: x)
        codes[i * n + j] = code
        let error = (x - level * grid.scale) / upper[j * n + j]
        errors[i * count + j - first] = error
        Kernels.axpy(
          -error, UnsafeBufferPointer(rebasing: upper[j * n + j + 1..<j * n + block.upperBound]),
          UnsafeMutableBufferPointer(rebasing: row[(j - first + 1)...]))
      }
    }
  }

  /// Finds the grid of the group that starts at column `j` from the weights as they are now.
  private func regroup(_ i: Int, _ j: Int, _ cell: Int) {
    let start = i * layout.columns + j
    let values = UnsafeBufferPointer(rebasing: w[start..<start + layout.width])
    let fresh = layout.scheme.range.search.grid(for: [values], in: layout.family)
    (scales[cell], zeros[cell]) = (fresh.scale, fresh.zero)
  }
}
