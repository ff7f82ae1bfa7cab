import CHalftoneKernels
import HalftoneTensor

extension BlockType {
  /// How the matrix of such blocks is quantized; nil where codes stand for a table that no number format
  /// has (IQ4_NL, IQ4_XS).
  public var scheme: WeightScheme? {
    let blocks = format.pointee
    if self == .mxfp4 {
      return WeightScheme(
        format: FloatFormat.e2m1, granularity: .group(blocks.group), range: .minMax, scales: .e8m0)
    }
    guard blocks.table == nil, let integers = try? IntegerFormat(bits: Int(blocks.bits)) else {
      return nil
    }
    let isCentered = blocks.has_minima == 0 && Int(blocks.zero) == 1 << (integers.bits - 1)
    return WeightScheme(
      format: integers, granularity: .group(blocks.group), symmetric: isCentered, range: .minMax)
  }
}

extension BlockMatrix {
  /// The blocks' own codes with the scales that they multiply to, rows in the order of the matrix.
  ///
  /// Integers count from the middle. A minimum m becomes the zero point −m/scale, which need be no whole
  /// number; numbers then differ in the last place. A scale of 0, under which codes have no meaning, becomes
  /// one that stands for the same numbers: 1 with the codes of 0, or |m| with the lowest codes.
  /// - Throws: ``SchemeError`` for a type without such codes, and for scales that are no numbers.
  public func quantized() throws(SchemeError) -> QuantizedTensor {
    guard let scheme = type.scheme else {
      throw SchemeError("\(type.name) blocks have codes of a table that no number format has")
    }
    let table = [shape[0], shape[1] / type.format.pointee.group]
    var cells = [BlockCell](repeating: BlockCell(), count: table[0] * table[1])
    let codes = Tensor(shape: shape, elementType: .int8) { out in
      cells.withUnsafeMutableBufferPointer { take(out.bindMemory(to: Int8.self), $0) }
    }
    let (scales, zeros) = (cells.map(\.scale), cells.map(\.zero))
    guard scales.allSatisfy(\.isFinite), zeros.allSatisfy(\.isFinite) else {
      throw SchemeError(
        "a scale of its \(type.name) blocks is NaN or infinite; fetch the file again")
    }
    return try QuantizedTensor(
      shape: shape, format: scheme.format, codes: codes, levels: [Tensor(scales, shape: table)],
      zeroPoints: zeros.allSatisfy { $0 == 0 } ? nil : Tensor(zeros, shape: table))
  }

  /// Takes all rows apart into `codes` [rows, columns] and `cells` [rows, groups].
  private func take(
    _ codes: UnsafeMutableBufferPointer<Int8>, _ cells: UnsafeMutableBufferPointer<BlockCell>
  ) {
    let (columns, format) = (shape[1], type.format.pointee)
    let (group, groups) = (format.group, shape[1] / format.group)
    // A table's codes are kept as they are, whole numbers counted from their middle.
    let middle = format.table == nil ? 1 << (Int(format.bits) - 1) : 0
    bytes.withBytes { bytes in
      guard let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
      parallelRanges(shape[0], grain: max(1, (1 << 14) / columns)) { rows in
        var raw = [UInt8](repeating: 0, count: columns)
        for row in rows {
          let stored = base + rowOrder.storedRow(row) * rowByteCount
          halftone_block_codes(type.format, stored, blocksPerRow, &raw)
          let found = blockCells(stored)
          for (place, cell) in found.enumerated() {
            let start = row * columns + place * group
            cells[row * groups + place] = cell.grid(middle)
            for j in 0..<group {
              let code = cell.scale == 0 ? cell.constantCode(middle) : Int(raw[place * group + j])
              codes[start + j] = Int8(truncatingIfNeeded: code - middle)
            }
          }
        }
      }
    }
  }

  /// The scale, the minimum and the zero of each group of a row, as the file has them.
  private func blockCells(_ row: UnsafePointer<UInt8>) -> [BlockCell] {
    let format = type.format.pointee
    let perBlock = type.blockLength / format.group
    let stored = storedScales(row)
    return (0..<shape[1] / format.group).map { j in
      var cell = BlockCell(zero: Float(format.zero))
      let (factor, least) = (stored.factors[j / perBlock], stored.leasts[j / perBlock])
      switch format.scale_type {
      case halftone_scale_f16:
        cell.scale = Self.half(stored.scales, j)
        if format.has_minima != 0 { cell.minimum = Self.half(stored.minima, j) }
      case halftone_scale_i8:
        cell.scale = Float(Float16(bitPattern: factor)) * Float(Int8(bitPattern: stored.scales[j]))
        if format.has_minima != 0 {
          cell.minimum = Float(Float16(bitPattern: least)) * Float(stored.minima[j])
        }
      default:
        // The table of E2M1 has twice its numbers.
        (cell.scale, cell.zero) = (2 * Self.float(stored.scales, j), 0)
      }
      return cell
    }
  }

  private static func half(_ bytes: [UInt8], _ index: Int) -> Float {
    Float(Float16(bitPattern: UInt16(bytes[2 * index]) | UInt16(bytes[2 * index + 1]) << 8))
  }

  private static func float(_ bytes: [UInt8], _ index: Int) -> Float {
    let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[4 * index + $1]) << UInt32(8 * $1) }
    return Float(bitPattern: bits)
  }

  /// What `halftone_block_take_scales` gives for a row.
  private struct StoredScales {
    let scales: [UInt8]
    let minima: [UInt8]
    let factors: [UInt16]
    let leasts: [UInt16]
  }

  private func storedScales(_ row: UnsafePointer<UInt8>) -> StoredScales {
    var scales = [UInt8](repeating: 0, count: 4 * shape[1] / type.format.pointee.group)
    var minima = scales
    var factors = [UInt16](repeating: 0, count: blocksPerRow)
    var leasts = factors
    scales.withUnsafeMutableBytes { scales in
      minima.withUnsafeMutableBytes { minima in
        factors.withUnsafeMutableBufferPointer { factors in
          leasts.withUnsafeMutableBufferPointer { leasts in
            halftone_block_take_scales(
              type.format, row, blocksPerRow,
              halftone_block_scales(
                scales: scales.baseAddress, minima: minima.baseAddress,
                super_scales: factors.baseAddress, super_minima: leasts.baseAddress, stride: 1))
          }
        }
      }
    }
    return StoredScales(scales: scales, minima: minima, factors: factors, leasts: leasts)
  }
}

/// The grid of one group: value = scale · (code − zero) + minimum, code from 0.
private struct BlockCell {
  var scale: Float = 0
  var zero: Float = 0
  var minimum: Float = 0

  /// The same numbers without a minimum and with another scale than 0, codes counted from `middle`.
  func grid(_ middle: Int) -> BlockCell {
    if scale != 0 {
      let shift = minimum == 0 ? 0 : Double(minimum) / Double(scale)
      return BlockCell(scale: scale, zero: Float(Double(zero) - shift - Double(middle)))
    }
    guard minimum != 0 else { return BlockCell(scale: 1, zero: zero - Float(middle)) }
    return BlockCell(scale: abs(minimum), zero: Float(-middle) - (minimum > 0 ? 1 : -1))
  }

  /// The code of all elements where the scale is 0.
  func constantCode(_ middle: Int) -> Int { minimum == 0 ? Int(zero) : 0 }
}
