import CHalftoneKernels

/// Products of float matrices whose elements are rounded to bfloat16 first.
enum BFloat16Product {
  nonisolated(unsafe) static let set = halftone_attention_best().pointee

  /// Rows of `a` and panels of sixteen columns of `b` that one call takes: a tile's part of `a` stays
  /// in the second cache, and the calls outnumber the threads.
  private static let tileRows = 256
  private static let tilePanels = 12

  /// out = a·b for a [m, k] and b [k, n].
  ///
  /// No element depends on how the work is cut.
  static func parallel(
    _ m: Int, _ n: Int, _ k: Int, _ a: MatrixProduct.Operand, _ b: MatrixProduct.Operand,
    _ out: UnsafeMutablePointer<Float>, stride: Int
  ) {
    guard m > 0, n > 0 else { return }
    let (length, panels) = ((k + 1) / 2 * 2, (n + 15) / 16)
    let operands = Storage(byteCount: 2 * length * (m + 16 * panels))
    let rows = operands.base.assumingMemoryBound(to: UInt16.self)
    let columns = rows + m * length
    let (down, across) = ((m + tileRows - 1) / tileRows, (panels + tilePanels - 1) / tilePanels)
    // Equal tiles, so that threads end together: 16 panels are 8 and 8, not 12 and 4.
    let wide = (panels + across - 1) / across
    parallelFor(down + across) { part in
      if part < down {
        let i = part * tileRows
        set.bf16_rows(
          a.fromRow(i), a.stride, a.transposed ? 1 : 0, min(tileRows, m - i), k,
          rows + i * length, length)
      } else {
        let panel = (part - down) * wide
        set.bf16_columns(
          b.fromColumn(16 * panel), b.stride, b.transposed ? 1 : 0,
          min(16 * wide, n - 16 * panel), k, columns + 16 * panel * length)
      }
    }
    parallelFor(down * across) { tile in
      let (i, panel) = (tile / across * tileRows, tile % across * wide)
      set.bf16_product(
        rows + i * length, length, min(tileRows, m - i), columns, n, k, panel,
        min(wide, panels - panel), out + i * stride, stride, 0)
    }
    withExtendedLifetime(operands) {}
  }
}
