public import HalftoneTensor

/// The representable values of a matrix before its codes are chosen: a format with the scales and zero
/// points of every element, in the terms of ``QuantizedTensor``.
public struct CodeGrid: Sendable {
  /// [rows, columns].
  public let shape: [Int]
  public let format: any NumberFormat
  /// Positive factors multiplied into the scale, each [tileRows, tileColumns].
  public let levels: [Tensor]
  /// Whole numbers shaped as the first level; nil where all are 0.
  public let zeroPoints: Tensor?
  /// What the one level is in bytes, where the scales were quantized themselves.
  public let nested: NestedScales?

  public init(
    shape: [Int], format: any NumberFormat, levels: [Tensor], zeroPoints: Tensor? = nil,
    nested: NestedScales? = nil
  ) {
    self.shape = shape
    self.format = format
    self.levels = levels
    self.zeroPoints = zeroPoints
    self.nested = nested
  }

  /// The uniform grids of `table` for a matrix of this shape.
  public init(_ table: GridTable, format: any NumberFormat, shape: [Int]) {
    let zeros = table.zeros
    self.init(
      shape: shape, format: format, levels: table.levels(),
      zeroPoints: zeros.withElements { $0.contains { $0 != 0 } } ? zeros : nil,
      nested: table.nested)
  }

  /// The matrix of these codes, [rows, columns] I8.
  ///
  /// - Throws: `SchemeError` if shapes do not fit.
  public func quantized(_ codes: Tensor) throws(SchemeError) -> QuantizedTensor {
    try QuantizedTensor(
      shape: shape, format: format, codes: codes, levels: levels, zeroPoints: zeroPoints,
      nested: nested)
  }

  /// What `codes` [rows, columns] I8 stand for.
  ///
  /// - Throws: `SchemeError` if shapes do not fit.
  public func values(_ codes: Tensor) throws(SchemeError) -> Tensor {
    try quantized(codes).dequantized()
  }

  /// The codes of the representable values around each of `weights`, which has this shape.
  public func neighbours(of weights: Tensor) -> NeighbouringCodes {
    precondition(weights.shape == shape, "neighbours of \(weights.shape) on a grid of \(shape)")
    var pair: (above: Tensor, below: Tensor)?
    let below = Tensor(shape: shape, elementType: .int8) { low in
      let above = Tensor(shape: shape, elementType: .int8) { high in
        weights.withElements { w in
          let run = NeighbourSearch(
            weights: w, below: low.bindMemory(to: Int8.self), above: high.bindMemory(to: Int8.self),
            columns: shape[1])
          if let table { run.search(table, rows: shape[0]) } else { run.search(self) }
        }
      }
      pair = (above, above)
    }
    return NeighbouringCodes(below: below, above: pair?.above ?? below)
  }

  /// Where the scales are one table of row groups, times one number for all at most.
  private var table: GridTable? {
    GridTable(format: format, levels: levels, zeroPoints: zeroPoints, rows: shape[0])
  }

  /// The format's finite values in rising order, each once, with the first code that stands for it.
  fileprivate var entries: [(value: Float, code: Int8)] {
    let all: [(value: Float, code: Int8)] =
      switch format.values {
      case .uniform(let low, let high): (low...high).map { (Float($0), Int8($0)) }
      case .table(let values):
        values.enumerated().filter { $1.isFinite }
          .map { ($1, Int8(truncatingIfNeeded: $0)) }
      }
    let sorted = all.enumerated().sorted {
      ($0.element.value, $0.offset) < ($1.element.value, $1.offset)
    }.map(\.element)
    return sorted.indices.filter { $0 == 0 || sorted[$0].value != sorted[$0 - 1].value }
      .map { sorted[$0] }
  }
}

/// For each weight the codes of the two representable values that enclose it.
///
/// Both are one code where the weight is representable, and outside the range.
public struct NeighbouringCodes: Sendable {
  /// Of the largest value not above the weight, else of the smallest there is: [rows, columns] I8.
  public let below: Tensor
  /// Of the smallest value not below the weight, else of the largest there is: [rows, columns] I8.
  public let above: Tensor
}

/// A search that writes the codes of some rows at a time.
private struct NeighbourSearch {
  let weights: UnsafeBufferPointer<Float>
  let below: UnsafeMutableBufferPointer<Int8>
  let above: UnsafeMutableBufferPointer<Int8>
  let columns: Int

  private var grain: Int { max(1, (1 << 14) / max(1, columns)) }

  /// clamp(⌊w/s⌋ + z) and clamp(⌈w/s⌉ + z), or the levels around w/s.
  func search(_ table: GridTable, rows: Int) {
    parallelRanges(rows, grain: grain) { range in
      table.forEachRun(rows: range, columns: columns) { grid, _, run in
        if let levels = grid.levels {
          for i in run {
            let pair = levels.codes(around: weights[i] / grid.scale)
            below[i] = Int8(truncatingIfNeeded: pair.below)
            above[i] = Int8(truncatingIfNeeded: pair.above)
          }
          return
        }
        for i in run {
          let quotient = weights[i] / grid.scale
          below[i] = code(quotient.rounded(.down) + grid.zero, grid)
          above[i] = code(quotient.rounded(.up) + grid.zero, grid)
        }
      }
    }
  }

  /// What is not a number becomes the lowest code.
  private func code(_ x: Float, _ grid: ScaledGrid) -> Int8 {
    Int8(x > grid.low ? min(x, grid.high) : grid.low)
  }

  /// The definition, for formats and tables of any kind.
  func search(_ grid: CodeGrid) {
    let (rows, entries) = (grid.shape[0], grid.entries)
    let tables = grid.levels.map {
      ($0.values, rows / $0.shape[0], columns / $0.shape[1], $0.shape[1])
    }
    let zeros = grid.zeroPoints?.values
    parallelFor(rows) { i in
      for j in 0..<columns {
        func cell(_ table: ([Float], Int, Int, Int)) -> Int {
          i / table.1 * table.3 + j / table.2
        }
        let scale = tables.reduce(1) { $0 * $1.0[cell($1)] }
        let x = weights[i * columns + j] / scale + (zeros.map { $0[cell(tables[0])] } ?? 0)
        let upper = entries.firstIndex { $0.value >= x } ?? entries.count
        let isExact = upper < entries.count && entries[upper].value == x
        below[i * columns + j] = entries[isExact ? upper : max(upper - 1, 0)].code
        above[i * columns + j] = entries[min(upper, entries.count - 1)].code
      }
    }
  }
}
