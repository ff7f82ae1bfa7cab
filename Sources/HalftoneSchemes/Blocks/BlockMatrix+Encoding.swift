import CHalftoneKernels
public import HalftoneTensor

extension BlockMatrix {
  /// `weights` [rows, columns] of finite floats rounded to blocks, as ggml rounds them without
  /// weights from data.
  ///
  /// - Throws: ``SchemeError`` if rows are no whole number of blocks.
  public init(encoding weights: Tensor, as type: BlockType) throws(SchemeError) {
    let (shape, weights) = (weights.shape, weights.float())
    let byteCount = shape.count == 2 ? type.byteCount(of: shape) ?? 0 : 0
    let bytes = Tensor(shape: [byteCount], elementType: .uint8) { out in
      guard byteCount > 0, let target = out.baseAddress else { return }
      let blocks = shape[1] / type.blockLength
      weights.withElements { x in
        guard let source = x.baseAddress else { return }
        parallelRanges(shape[0], grain: max(1, (1 << 12) / shape[1])) { rows in
          let to = target + rows.lowerBound * blocks * type.blockByteCount
          halftone_block_encode(
            type.format, source + rows.lowerBound * shape[1], rows.count * blocks,
            to.assumingMemoryBound(to: UInt8.self))
        }
      }
    }
    try self.init(shape: shape, type: type, bytes: bytes)
  }

  /// Codes 0..<2^bits with one half per run of 32 columns as blocks of a type that holds them
  /// unchanged: Q4_0, Q4_1, Q5_0, Q5_1 or Q8_0.
  ///
  /// value(i, j) = scale · (code − zero of the type) + minimum, where the type has minima. `codes`
  /// are [rows][columns] and the type's own (Q4_0 has 8 for 0), `scales` and `minima`
  /// [rows][columns/32] are the bits of halves.
  ///
  /// - Throws: ``SchemeError`` if the counts do not fit.
  public init(
    joining codes: [UInt8], scales: [UInt16], minima: [UInt16]?, shape: [Int], type: BlockType
  ) throws(SchemeError) {
    let groups = shape.count == 2 ? shape[0] * shape[1] / 32 : 0
    guard type.blockLength == 32, type.format.pointee.scale_type == halftone_scale_f16,
      let byteCount = type.byteCount(of: shape), codes.count == groups * 32,
      scales.count == groups,
      (minima != nil) == (type.format.pointee.has_minima != 0), (minima?.count ?? groups) == groups
    else {
      throw SchemeError("\(codes.count) codes and \(scales.count) scales for \(type.name) \(shape)")
    }
    var (scales, minima) = (scales, minima ?? [])
    let bytes = Tensor(shape: [byteCount], elementType: .uint8) { out in
      guard let target = out.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
      scales.withUnsafeMutableBytes { scales in
        minima.withUnsafeMutableBytes { minima in
          let parts = halftone_block_scales(
            scales: scales.baseAddress, minima: minima.baseAddress, super_scales: nil,
            super_minima: nil, stride: 1)
          halftone_block_join(type.format, codes, parts, groups, target)
        }
      }
    }
    try self.init(shape: shape, type: type, bytes: bytes)
  }
}
