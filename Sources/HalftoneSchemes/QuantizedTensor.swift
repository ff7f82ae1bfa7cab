public import HalftoneTensor

/// A weight matrix as codes and what turns them back into numbers.
///
/// value(i, j) = (code(i, j) − zeroPoint(i, j)) · Π levels(i, j), replaced by an outlier where one is
/// stored. Each level is a table whose cells cover equal tiles of the matrix: one cell for a scale
/// per tensor, [rows, 1] per channel, [rows, columns/g] for groups, tiles for blocks, and two levels
/// for two-level scales.
public struct QuantizedTensor: Sendable {
  /// [rows, columns], as the dense weight.
  public let shape: [Int]
  public let format: any NumberFormat
  /// One code an element, [rows, columns] I8: the stored number for uniform formats, the index into
  /// the table for others.
  public let codes: Tensor
  /// Factors multiplied into the scale, each [tileRows, tileColumns].
  public let levels: [Tensor]
  /// Shaped as the first level; nil where all are 0. Whole numbers, but for files whose offsets are no
  ///
  /// multiples of the scales (MLX): there the offset by the scale.
  public let zeroPoints: Tensor?
  public let outliers: OutlierSet?
  /// What the one level of scales is in bytes, where they were quantized themselves.
  public let nested: NestedScales?

  public init(
    shape: [Int], format: any NumberFormat, codes: Tensor, levels: [Tensor],
    zeroPoints: Tensor? = nil, outliers: OutlierSet? = nil, nested: NestedScales? = nil
  ) throws(SchemeError) {
    guard shape.count == 2, codes.shape == shape, codes.elementType == .int8 else {
      throw SchemeError("codes \(codes.shape) \(codes.elementType) for a matrix \(shape)")
    }
    guard !shape.contains(0) else {
      throw SchemeError("a \(shape) matrix has no elements to quantize")
    }
    guard !levels.isEmpty, levels.allSatisfy({ Self.tiles($0, shape) }) else {
      throw SchemeError("scales \(levels.map(\.shape)) do not divide a matrix \(shape)")
    }
    guard
      zeroPoints.map({ $0.shape == levels[0].shape && $0.elementType == .float32 }) ?? true
    else {
      throw SchemeError("zero points must be floats shaped as the scales, \(levels[0].shape)")
    }
    guard nested.map({ levels.count == 1 && $0.codes.count == levels[0].count }) ?? true else {
      throw SchemeError("nested scales for levels of \(levels.map(\.shape))")
    }
    let elements = 0..<codes.count
    guard outliers?.positions.allSatisfy(elements.contains) ?? true else {
      throw SchemeError("outliers lie outside a matrix \(shape)")
    }
    self.shape = shape
    self.format = format
    self.codes = codes
    self.levels = levels
    self.zeroPoints = zeroPoints
    self.outliers = outliers
    self.nested = nested
  }

  private static func tiles(_ table: Tensor, _ shape: [Int]) -> Bool {
    table.shape.count == 2 && table.elementType == .float32 && !table.shape.contains(0)
      && shape[0] % table.shape[0] == 0 && shape[1] % table.shape[1] == 0
  }

  /// The bytes that codes, scales and zero points take in a packed file, scales as stored in 16 bits.
  public var packedByteCount: Int {
    let scaleBytes =
      nested.map { $0.codes.count + 4 * $0.units.count + 4 }
      ?? levels.reduce(0) { $0 + $1.count * 2 }
    let zeroBytes = zeroPoints.map { ($0.count * format.bits + 7) / 8 } ?? 0
    return (codes.count * format.bits + 7) / 8 + scaleBytes + zeroBytes
      + (outliers.map { $0.values.count * 8 } ?? 0)
  }

  /// The grids, where the scales are one table of row groups, times one number for all at most.
  public var gridTable: GridTable? {
    GridTable(
      format: format, levels: levels, zeroPoints: zeroPoints, rows: shape[0], nested: nested)
  }

  /// The numbers the codes stand for: [rows, columns] float.
  public func dequantized() -> Tensor {
    let dense = gridTable.map(scaledValues) ?? generalValues()
    return outliers?.inserted(into: dense) ?? dense
  }

  private func scaledValues(_ table: GridTable) -> Tensor {
    let columns = shape[1]
    return codes.withBytes { bytes in
      let codes = bytes.bindMemory(to: Int8.self)
      return Tensor(shape: shape) { out in
        parallelRanges(shape[0], grain: max(1, (1 << 15) / columns)) { rows in
          table.forEachRun(rows: rows, columns: columns) { grid, _, run in
            Kernels.dequantize(
              UnsafeBufferPointer(rebasing: codes[run]), grid,
              UnsafeMutableBufferPointer(rebasing: out[run]))
          }
        }
      }
    }
  }

  /// The definition, element by element, for formats and tables without a kernel.
  private func generalValues() -> Tensor {
    let (rows, columns) = (shape[0], shape[1])
    let tables = levels.map { ($0.values, rows / $0.shape[0], columns / $0.shape[1], $0.shape[1]) }
    let zeros = zeroPoints?.values
    let entries = entries
    return codes.withBytes { bytes in
      Tensor(shape: shape) { out in
        parallelFor(rows) { i in
          for j in 0..<columns {
            var value = entries[Int(bytes[i * columns + j])]
            var scale: Float = 1
            for (level, table) in tables.enumerated() {
              let cell = i / table.1 * table.3 + j / table.2
              if level == 0, let zeros { value -= zeros[cell] }
              scale *= table.0[cell]
            }
            out[i * columns + j] = value * scale
          }
        }
      }
    }
  }

  /// What each of the 256 bytes stands for; tables repeat after their last entry.
  private var entries: [Float] {
    switch format.values {
    case .uniform: (0..<256).map { Float(Int8(truncatingIfNeeded: $0)) }
    case .table(let entries): (0..<256).map { entries[$0 % entries.count] }
    }
  }
}

/// Elements of a matrix kept at full precision, by position.
public struct OutlierSet: Sendable, Equatable {
  /// Row-major positions, ascending.
  public let positions: [Int]
  public let values: [Float]

  public init(positions: [Int], values: [Float]) {
    precondition(positions.count == values.count)
    self.positions = positions
    self.values = values
  }

  func inserted(into dense: Tensor) -> Tensor {
    Tensor(shape: dense.shape) { out in
      dense.withElements { _ = out.update(from: $0) }
      for (position, value) in zip(positions, values) { out[position] = value }
    }
  }
}

extension GridTable {
  /// The grids of a matrix with so many rows; nil where its scales have another form.
  init?(
    format: any NumberFormat, levels: [Tensor], zeroPoints: Tensor?, rows: Int,
    nested: NestedScales? = nil
  ) {
    let values = format.levels
    let hasRowUnits =
      levels.count == 2 && rows > 1 && levels[1].shape == [rows, 1]
      && levels[0].shape[0] == rows && levels[0].shape[1] > 1
    guard hasRowUnits || levels.dropFirst().allSatisfy({ $0.count == 1 }),
      values == nil || zeroPoints == nil,
      levels[0].shape[0] == 1 && levels[0].shape[1] == 1 || levels[0].shape[0] == rows
    else { return nil }
    if hasRowUnits {
      let (units, groups) = (levels[1].values, levels[0].shape[1])
      let scales = levels[0].values.enumerated().map { $1 * units[$0 / groups] }
      self.init(
        scales: Tensor(scales, shape: levels[0].shape),
        zeros: zeroPoints ?? Tensor(repeating: 0, shape: levels[0].shape),
        low: format.extent.low, high: format.extent.high, levels: values, rowUnits: levels[1])
      return
    }
    let unit = levels.dropFirst().reduce(1) { $0 * $1.scalar }
    let scales =
      unit == 1 ? levels[0] : Tensor(levels[0].values.map { $0 * unit }, shape: levels[0].shape)
    self.init(
      scales: scales, zeros: zeroPoints ?? Tensor(repeating: 0, shape: levels[0].shape),
      low: format.extent.low, high: format.extent.high, levels: values, unit: unit, nested: nested)
  }

  /// `weights` [rows, columns] rounded to the nearest codes of these grids.
  public func quantize(_ weights: Tensor, format: any NumberFormat) throws(SchemeError)
    -> QuantizedTensor
  {
    let columns = weights.columns
    let codes = Tensor(shape: weights.shape, elementType: .int8) { bytes in
      let codes = bytes.bindMemory(to: Int8.self)
      let pairs = format as? OutlierVictimFormat
      weights.withElements { w in
        parallelRanges(weights.rows, grain: max(1, (1 << 15) / columns)) { rows in
          forEachRun(rows: rows, columns: columns) { grid, _, run in
            Kernels.quantize(
              UnsafeBufferPointer(rebasing: w[run]), grid,
              UnsafeMutableBufferPointer(rebasing: codes[run]))
          }
          guard let pairs else { return }
          for row in rows {
            pairs.pair(
              UnsafeMutableBufferPointer(rebasing: codes[row * columns..<(row + 1) * columns]))
          }
        }
      }
    }
    return try QuantizedTensor(
      shape: weights.shape, format: format, codes: codes, levels: levels(),
      zeroPoints: zeros.values.contains { $0 != 0 } ? zeros : nil, nested: nested)
  }
}
