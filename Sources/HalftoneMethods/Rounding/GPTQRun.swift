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
  let upper: [Float]
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
      scheme: scheme, order: order, upper: upper.elements.map(Float.init),
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
    return try QuantizedTensor(
      shape: [rows, columns], format: layout.scheme.format, codes: stored,
      levels: [Tensor(scales, shape: table)],
      zeroPoints: zeros.contains { $0 != 0 } ? Tensor(zeros, shape: table) : nil)
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
    let n = layout.columns
    layout.upper.withUnsafeBufferPointer { upper in
      for j in block {
        let grid = grid(i, j)
        let x = w[i * n + j]
        let rounded = (x / grid.scale).rounded(.toNearestOrEven) + grid.zero
        let code = min(max(rounded, grid.low), grid.high)
        codes[i * n + j] = Int8(code)
        let error = (x - (code - grid.zero) * grid.scale) / upper[j * n + j]
        errors[i * block.count + j - block.lowerBound] = error
        let (from, to) = (j + 1, block.upperBound)
        Kernels.axpy(
          -error, UnsafeBufferPointer(rebasing: upper[j * n + from..<j * n + to]),
          UnsafeMutableBufferPointer(rebasing: w[i * n + from..<i * n + to]))
      }
    }
  }

  private func grid(_ i: Int, _ j: Int) -> UniformGrid {
    let (scheme, width) = (layout.scheme, layout.width)
    let cell = (layout.tableRows == 1 ? 0 : i) * layout.groups + layout.order[j] / width
    if layout.regroups, j % width == 0 {
      let start = i * layout.columns + j
      let values = UnsafeBufferPointer(rebasing: w[start..<start + width])
      let fresh = scheme.range.search.grid(
        for: [values], bits: scheme.format.bits, symmetric: scheme.symmetric)
      (scales[cell], zeros[cell]) = (fresh.scale, fresh.zero)
    }
    return UniformGrid(
      scale: scales[cell], zero: zeros[cell], low: Float(scheme.format.low),
      high: Float(scheme.format.high))
  }
}
