import HalftoneTensor

extension QuantizedTensor {
  /// The matrix as the kernels read it, the same codes and scales; nil where they cannot: values off
  /// a uniform grid, two levels of scales, outliers, groups of other sizes than 16 and multiples
  /// of 32.
  public func packed(withRowSums: Bool = false) -> PackedMatrix? {
    guard let table = gridTable, table.levels == nil, outliers == nil,
      [2, 3, 4, 5, 6, 8].contains(format.bits)
    else { return nil }
    let (rows, columns) = (shape[0], shape[1])
    let cells = table.scales.shape
    let group = columns / cells[1]
    guard cells[1] == 1 || group == 16 || group % 32 == 0 else { return nil }
    let low = Int(table.low)
    let layout = PackedMatrix.Layout(
      rows: rows, columns: columns, bits: format.bits, zero: -low, group: group,
      scaleType: .float32, hasMinima: zeroPoints != nil, hasRowSums: withRowSums)
    let source = PackingSource(
      columns: columns, cellRows: cells[0] == 1 ? 0 : 1, cellColumns: cells[1], low: low,
      scales: table.scales.values, zeros: zeroPoints?.values)
    return codes.withBytes { bytes in
      let codes = bytes.bindMemory(to: Int8.self)
      return PackedMatrix(layout) { panel, out in
        for r in 0..<min(16, rows - panel * 16) {
          source.fill(row: panel * 16 + r, of: codes, slot: r, out, stride: layout.stride)
        }
      }
    }
  }
}

/// Codes and scales on their way into panels.
private struct PackingSource: Sendable {
  let columns: Int
  /// 0 where all rows share the first row of scales.
  let cellRows: Int
  let cellColumns: Int
  let low: Int
  let scales: [Float]
  let zeros: [Float]?

  func fill(
    row: Int, of codes: UnsafeBufferPointer<Int8>, slot: Int, _ out: PackedMatrix.Panel, stride: Int
  ) {
    let target = out.codes + slot * stride
    let offset = Int8(truncatingIfNeeded: low)
    for j in 0..<columns {
      target[j] = UInt8(bitPattern: codes[row * columns + j] &- offset)
    }
    let outScales = out.scales.assumingMemoryBound(to: Float.self)
    let outMinima = out.minima?.assumingMemoryBound(to: Float.self)
    var sum = 0.0
    for g in 0..<cellColumns {
      let cell = row * cellRows * cellColumns + g
      let zero = zeros?[cell] ?? 0
      outScales[16 * g + slot] = scales[cell]
      outMinima?[16 * g + slot] = -zero * scales[cell]
      guard out.rowSums != nil else { continue }
      let width = columns / cellColumns
      let first = row * columns + g * width
      let codeSum = codes[first..<first + width].reduce(0) { $0 + Int($1) }
      sum += (Double(codeSum) - Double(zero) * Double(width)) * Double(scales[cell])
    }
    out.rowSums?[slot] = Float(sum)
  }
}
