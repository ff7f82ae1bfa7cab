import CHalftoneKernels

// The products of attention with operands rounded to bfloat16 and sums of floats; the softmax and its
// pullback are those of floats.
//
// Operands are taken in pairs and panels of sixteen, so the keys of a block of queries begin at a
// multiple of sixteen; the softmax makes 0 of those that no query of the block sees.

extension AttentionKernel {
  private func panels(_ block: Range<Int>) -> Range<Int> {
    let seen = shape.visible(block)
    return seen.lowerBound / 16 * 16..<seen.upperBound
  }

  func forwardInBFloat16(
    _ sequence: Int, _ head: Int, _ p: UnsafeMutablePointer<Float>, keeps: Bool,
    _ out: UnsafeMutablePointer<Float>
  ) {
    let (length, start) = (shape.keyLength, keyStart(sequence, head, 0))
    let q = RoundedRows(
      queries.floats + queryStart(sequence, head, 0), stride: queryStride,
      rows: shape.queryLength, columns: width)
    let k = RoundedColumns(
      keys.floats + start, stride: keyStride, transposed: true, inner: width, columns: length)
    let v = RoundedColumns(
      values.floats + start, stride: keyStride, inner: length, columns: width)
    for block in shape.blocks {
      let p = keeps ? p : p - block.lowerBound * length
      let seen = panels(block)
      let scores = p + block.lowerBound * length + seen.lowerBound
      q.times(k, rows: block, columns: seen, into: scores, stride: length)
      for i in block { normalize(p + i * length, shape.visible(i), within: seen) }
      RoundedRows(scores, stride: length, rows: block.count, columns: seen.count).times(
        v, inner: seen, into: out + queryStart(sequence, head, block.lowerBound),
        stride: queryStride)
    }
  }

  func pullback(
    _ sequence: Int, _ head: Int, inBFloat16 p: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    _ scratch: AttentionScratch, _ dq: UnsafeMutablePointer<Float>
  ) {
    let (length, ds) = (shape.keyLength, scratch.ds.own)
    let (first, start) = (queryStart(sequence, head, 0), keyStart(sequence, head, 0))
    let (dyRows, dyColumns) = rounded(dy + first)
    let queryColumns = rounded(queries.floats + first).columns
    let k = RoundedColumns(keys.floats + start, stride: keyStride, inner: length, columns: width)
    let vTransposed = RoundedColumns(
      values.floats + start, stride: keyStride, transposed: true, inner: width, columns: length)
    for block in shape.blocks {
      let seen = panels(block)
      let (m, n) = (block.count, seen.count)
      let probabilities = p + block.lowerBound * length + seen.lowerBound
      // dP = do·vᵀ, dvᵀ += doᵀ·P
      dyRows.times(vTransposed, rows: block, columns: seen, into: ds, stride: n)
      dyColumns.times(
        RoundedColumns(probabilities, stride: length, inner: m, columns: n),
        from: block.lowerBound, addingTo: scratch.dv.own + seen.lowerBound, stride: length)
      for row in 0..<m {  // P is 0 where masked, and with it dS
        Kernels.set.softmax_pullback(
          probabilities + row * length, ds + row * n, alpha, ds + row * n, n)
      }
      // dq = dS·k, dkᵀ += qᵀ·dS
      RoundedRows(ds, stride: n, rows: m, columns: n).times(
        k, inner: seen, into: dq + queryStart(sequence, head, block.lowerBound),
        stride: queryStride)
      queryColumns.times(
        RoundedColumns(ds, stride: n, inner: m, columns: n), from: block.lowerBound,
        addingTo: scratch.dk.own + seen.lowerBound, stride: length)
    }
  }

  /// One head of queries or of their gradients, [queryLength, width], and its transpose.
  private func rounded(_ head: UnsafePointer<Float>) -> (rows: RoundedRows, columns: RoundedRows) {
    (
      RoundedRows(head, stride: queryStride, rows: shape.queryLength, columns: width),
      RoundedRows(
        head, stride: queryStride, transposed: true, rows: width, columns: shape.queryLength)
    )
  }
}

/// A first operand of products in bfloat16, [rows, columns].
private struct RoundedRows {
  let storage: Storage
  let rows: Int
  /// Elements from one row to the next.
  let stride: Int

  /// `x` is [rows, columns], or its transpose.
  init(
    _ x: UnsafePointer<Float>, stride: Int, transposed: Bool = false, rows: Int, columns: Int
  ) {
    self.rows = rows
    self.stride = (columns + 1) / 2 * 2
    storage = Storage(byteCount: 2 * rows * self.stride)
    BFloat16Product.set.bf16_rows(
      x, stride, transposed ? 1 : 0, rows, columns, elements, self.stride)
  }

  private var elements: UnsafeMutablePointer<UInt16> {
    storage.base.assumingMemoryBound(to: UInt16.self)
  }

  /// out = self[rows]·b[:, columns], `columns` from a multiple of sixteen on.
  func times(
    _ b: RoundedColumns, rows: Range<Int>, columns: Range<Int>,
    into out: UnsafeMutablePointer<Float>, stride outStride: Int
  ) {
    BFloat16Product.set.bf16_product(
      elements + rows.lowerBound * stride, stride, rows.count,
      b.elements + columns.lowerBound / 16 * b.panel, columns.count, b.inner, 0,
      (columns.count + 15) / 16, out, outStride, 0)
  }

  /// out = self·b[inner, :], `inner` from an even number on.
  func times(
    _ b: RoundedColumns, inner: Range<Int>, into out: UnsafeMutablePointer<Float>,
    stride outStride: Int
  ) {
    for column in Swift.stride(from: 0, to: b.columns, by: 16) {
      BFloat16Product.set.bf16_product(
        elements, stride, rows, b.elements + column / 16 * b.panel + 16 * inner.lowerBound,
        min(16, b.columns - column), inner.count, 0, 1, out + column, outStride, 0)
    }
  }

  /// out += self[:, first..<first + b's inner length]·b, `first` even.
  func times(
    _ b: RoundedColumns, from first: Int, addingTo out: UnsafeMutablePointer<Float>,
    stride outStride: Int
  ) {
    BFloat16Product.set.bf16_product(
      elements + first, stride, rows, b.elements, b.columns, b.inner, 0, (b.columns + 15) / 16, out,
      outStride, 1)
  }
}

/// A second operand, [inner, columns], in panels of sixteen columns.
private struct RoundedColumns {
  let storage: Storage
  let inner: Int
  let columns: Int
  /// Elements from one panel to the next.
  let panel: Int

  /// `x` is [inner, columns], or its transpose.
  init(
    _ x: UnsafePointer<Float>, stride: Int, transposed: Bool = false, inner: Int, columns: Int
  ) {
    (self.inner, self.columns, panel) = (inner, columns, (inner + 1) / 2 * 32)
    storage = Storage(byteCount: (columns + 15) / 16 * panel * 2)
    BFloat16Product.set.bf16_columns(x, stride, transposed ? 1 : 0, columns, inner, elements)
  }

  var elements: UnsafeMutablePointer<UInt16> {
    storage.base.assumingMemoryBound(to: UInt16.self)
  }
}
