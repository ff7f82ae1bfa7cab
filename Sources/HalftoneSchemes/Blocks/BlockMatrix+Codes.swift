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
      throw SchemeError("a scale of its \(type.name) blocks is NaN or infinite; fetch the file again")
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
    let (groups, perBlock) = (shape[1] / format.group, type.blockLength / format.group)
    var (raw, rawMinima) = ([UInt8](repeating: 0, count: 4 * groups), [UInt8](repeating: 0, count: 4 * groups))
    var (factors, leasts) = ([UInt16](repeating: 0, count: blocksPerRow), [UInt16](repeating: 0, count: blocksPerRow))
    raw.withUnsafeMutableBytes { raw in
      rawMinima.withUnsafeMutableBytes { minima in
        factors.withUnsafeMutableBufferPointer { factors in
          leasts.withUnsafeMutableBufferPointer { leasts in
            halftone_block_take_scales(
              type.format, row, blocksPerRow,
              halftone_block_scales(
                scales: raw.baseAddress, minima: minima.baseAddress,
                super_scales: factors.baseAddress, super_minima: leasts.baseAddress, stride: 1))
          }
        }
      }
    }
    func half(_ bytes: [UInt8], _ index: Int) -> Float {
      Float(Float16(bitPattern: UInt16(bytes[2 * index]) | UInt16(bytes[2 * index + 1]) << 8))
    }
    return (0..<groups).map { j in
      var cell = BlockCell(zero: Float(format.zero))
      switch format.scale_type {
      case halftone_scale_f16: cell.scale = half(raw, j)
      case halftone_scale_i8:
        cell.scale =
          Float(Float16(bitPattern: factors[j / perBlock])) * Float(Int8(bitPattern: raw[j]))
      default:
        let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(raw[4 * j + $1]) << UInt32(8 * $1) }
        // The table of E2M1 has twice its numbers.
        (cell.scale, cell.zero) = (2 * Float(bitPattern: bits), 0)
      }
      guard format.has_minima != 0 else { return cell }
      cell.minimum =
        format.scale_type == halftone_scale_i8
        ? Float(Float16(bitPattern: leasts[j / perBlock])) * Float(rawMinima[j])
        : half(rawMinima, j)
      return cell
    }
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
