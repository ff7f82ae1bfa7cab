import HalftoneTensor

extension QuantizedTensor {
  /// The matrix as the integer kernels read it, the same codes and scales; nil where they cannot: values that
  /// are no small multiples of a number, outliers, groups of other sizes than 16 and multiples of 32.
  public func packed(withRowSums: Bool = false) -> PackedMatrix? {
    guard let table = gridTable, outliers == nil, let integers = IntegerCodes(format),
      integers.isUniform || usesOnlyFiniteCodes(of: integers.values)
    else { return nil }
    let (rows, columns) = (shape[0], shape[1])
    let cells = table.scales.shape
    let group = columns / cells[1]
    guard cells[1] == 1 || group == 16 || group % 32 == 0 else { return nil }
    let scales =
      integers.unit == 1 ? table.scales.values : table.scales.values.map { $0 * integers.unit }
    guard integers.unit == 1 || scales.allSatisfy(\.isNormal) else { return nil }
    let layout = PackedMatrix.Layout(
      rows: rows, columns: columns, bits: integers.bits, zero: integers.zero,
      table: integers.table, group: group, scaleType: .float32, hasMinima: zeroPoints != nil,
      hasRowSums: withRowSums)
    let source = PackingSource(
      columns: columns, cellRows: cells[0] == 1 ? 0 : 1, cellColumns: cells[1],
      integers: integers, scales: scales, zeros: zeroPoints?.values)
    return codes.withBytes { bytes in
      let codes = bytes.bindMemory(to: UInt8.self)
      return PackedMatrix(layout) { panel, out in
        for r in 0..<min(16, rows - panel * 16) {
          source.fill(row: panel * 16 + r, of: codes, slot: r, out, stride: layout.stride)
        }
      }
    }
  }
}

/// Codes as the integer kernels take them: unsigned, and standing for whole numbers.
private struct IntegerCodes: Sendable {
  let isUniform: Bool
  let bits: Int
  let zero: Int
  /// What the kernel looks codes up in.
  let table: [UInt8]?
  /// What the whole numbers are multiplied by.
  let unit: Float
  /// The format's own values, of tables.
  let values: [Float]
  /// What each of the 256 bytes is stored as.
  let stored: [UInt8]
  /// The whole number each of them stands for.
  let numbers: [Int]

  init?(_ format: any NumberFormat) {
    switch format.values {
    case .uniform(let low, _):
      guard [2, 3, 4, 5, 6, 8].contains(format.bits) else { return nil }
      (isUniform, bits, zero, table, unit, values) = (true, format.bits, -low, nil, 1, [])
      stored = (0..<256).map { UInt8(truncatingIfNeeded: $0 - low) }
      numbers = (0..<256).map { Int(Int8(truncatingIfNeeded: $0)) }
    case .table(let values):
      let finite = values.filter(\.isFinite)
      guard format.bits <= 4, values.count <= 16,
        let unit = finite.map(abs).filter({ $0 > 0 }).min()
      else { return nil }
      let multiples = values.map { $0.isFinite ? $0 / unit : 0 }
      guard multiples.allSatisfy({ $0 == $0.rounded() && abs($0) <= 127 }) else { return nil }
      let whole = multiples.map { Int($0) }
      let lowest = min(0, whole.min() ?? 0)
      (isUniform, self.unit, self.values) = (false, unit, values)
      numbers = (0..<256).map { whole[$0 % whole.count] }
      if whole.allSatisfy({ (-1...2).contains($0) }) {
        // −1, 0 and 1 are codes of two bits themselves.
        (bits, zero, table) = (2, 1, nil)
        stored = numbers.map { UInt8($0 + 1) }
      } else if format.bits == 4, values.count == 16 {
        (bits, zero, table) = (4, -lowest, whole.map { UInt8($0 - lowest) })
        stored = (0..<256).map { UInt8($0 % 16) }
      } else {
        return nil
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
  let integers: IntegerCodes
  let scales: [Float]
  let zeros: [Float]?

  func fill(
    row: Int, of codes: UnsafeBufferPointer<UInt8>, slot: Int, _ out: PackedMatrix.Panel,
    stride: Int
  ) {
    let target = out.codes + slot * stride
    integers.stored.withUnsafeBufferPointer { stored in
      for j in 0..<columns { target[j] = stored[Int(codes[row * columns + j])] }
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
      let codeSum = codes[first..<first + width].reduce(0) { $0 + integers.numbers[Int($1)] }
      sum += (Double(codeSum) - Double(zero) * Double(width)) * Double(scales[cell])
    }
    out.rowSums?[slot] = Float(sum)
  }
}
