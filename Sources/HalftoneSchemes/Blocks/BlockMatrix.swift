import CHalftoneKernels
public import HalftoneTensor

/// A matrix whose rows are runs of blocks, as GGUF files hold them; nothing is decoded until asked.
public struct BlockMatrix: Sendable {
  /// The rows and columns.
  public let shape: [Int]
  public let type: BlockType
  /// Which stored row holds each row.
  public let rowOrder: RowOrder
  /// The blocks, row after row as stored: U8.
  public let bytes: Tensor

  /// - Throws: ``SchemeError`` if `bytes` is not what `shape` takes.
  public init(
    shape: [Int], type: BlockType, bytes: Tensor, rowOrder: RowOrder = .stored
  ) throws(SchemeError) {
    guard shape.count == 2, !shape.contains(0), let byteCount = type.byteCount(of: shape) else {
      throw SchemeError(
        "a matrix \(shape) has no rows of \(type.name) blocks, which hold \(type.blockLength)"
      )
    }
    guard bytes.elementType == .uint8, bytes.count == byteCount else {
      throw SchemeError(
        "\(bytes.count) bytes for a matrix \(shape) of \(type.name), which takes \(byteCount)")
    }
    guard rowOrder.fits(rows: shape[0]) else {
      throw SchemeError("rows of a matrix \(shape) in the order \(rowOrder)")
    }
    self.shape = shape
    self.type = type
    self.bytes = bytes
    self.rowOrder = rowOrder
  }

  var blocksPerRow: Int { shape[1] / type.blockLength }
  var rowByteCount: Int { blocksPerRow * type.blockByteCount }

  /// The numbers that the blocks stand for: [rows, columns] float.
  public func dequantized() -> Tensor { rows(0..<shape[0]) }

  /// The rows `ids` as floats, [ids.count, columns]; no other row is touched.
  public func rows(_ ids: some RandomAccessCollection<Int>) -> Tensor {
    let ids = Array(ids)
    precondition(ids.allSatisfy { (0..<shape[0]).contains($0) }, "a row outside 0..<\(shape[0])")
    let (format, columns, blocks) = (type.format, shape[1], blocksPerRow)
    return bytes.withBytes { bytes in
      Tensor(shape: [ids.count, columns]) { out in
        guard let source = bytes.baseAddress, let target = out.baseAddress else { return }
        parallelRanges(ids.count, grain: max(1, (1 << 14) / columns)) { range in
          for i in range {
            let row = source + rowOrder.storedRow(ids[i]) * rowByteCount
            halftone_block_values(
              format, row.assumingMemoryBound(to: UInt8.self), blocks, target + i * columns)
          }
        }
      }
    }
  }

  /// The bytes in the order of the matrix's rows; the same tensor where they are stored so.
  public func orderedBytes() -> Tensor {
    if rowOrder == .stored { return bytes }
    return Tensor(shape: bytes.shape, elementType: .uint8) { out in
      bytes.withBytes { bytes in
        guard let source = bytes.baseAddress, let target = out.baseAddress else { return }
        for row in 0..<shape[0] {
          (target + row * rowByteCount).copyMemory(
            from: source + rowOrder.storedRow(row) * rowByteCount, byteCount: rowByteCount)
        }
      }
    }
  }
}

// MARK: - Packing

extension BlockMatrix {
  /// The layout that the blocks' own codes and scales have in a ``PackedMatrix``.
  public var packedLayout: PackedMatrix.Layout {
    let format = type.format.pointee
    return PackedMatrix.Layout(
      rows: shape[0], columns: shape[1], bits: Int(format.bits), zero: Int(format.zero),
      table: format.table.map { Array(UnsafeBufferPointer(start: $0, count: 16)) },
      group: format.group, scaleType: scaleType, hasMinima: format.has_minima != 0)
  }

  private var scaleType: PackedMatrix.ScaleType {
    switch type.format.pointee.scale_type {
    case halftone_scale_f16: .float16
    case halftone_scale_i8: .int8
    default: hasHalfScales ? .float16 : .float32
    }
  }

  /// Whether the powers of two of MXFP4 blocks are numbers of half precision.
  private var hasHalfScales: Bool {
    bytes.withBytes { bytes in
      halftone_block_scales_are_halves(
        bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count / type.blockByteCount)
        != 0
    }
  }

  /// The same matrix for the integer kernels: the blocks' own codes and scales in another order, so
  /// it stands for exactly the same numbers.
  public func packed() -> PackedMatrix {
    let (layout, stored) = (packedLayout, bytes)
    return stored.withBytes { bytes in
      PackedMatrix(layout) { index, panel in
        guard let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        for r in 0..<min(16, shape[0] - index * 16) {
          let row = base + rowOrder.storedRow(index * 16 + r) * rowByteCount
          halftone_block_codes(type.format, row, blocksPerRow, panel.codes + r * layout.stride)
          takeScales(row, panel, r, layout.scaleType)
        }
      }
    }
  }

  /// Writes the scales of the row `r` of a panel, whose sixteen rows lie side by side.
  private func takeScales(
    _ row: UnsafePointer<UInt8>, _ panel: PackedMatrix.Panel, _ r: Int,
    _ scaleType: PackedMatrix.ScaleType
  ) {
    let size = scaleType.byteCount
    let scales = panel.scales + r * size
    guard type != .mxfp4 || scaleType == .float32 else {
      return halftone_block_take_half_scales(
        row, blocksPerRow, scales.assumingMemoryBound(to: UInt16.self), 16)
    }
    let out = halftone_block_scales(
      scales: scales, minima: panel.minima.map { $0 + r * size },
      super_scales: panel.superScales.map { $0 + r },
      super_minima: panel.superMinima.map { $0 + r }, stride: 16)
    halftone_block_take_scales(type.format, row, blocksPerRow, out)
  }
}
