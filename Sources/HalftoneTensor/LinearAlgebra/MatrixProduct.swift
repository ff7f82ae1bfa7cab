import COpenBLAS

/// Products of row-major float matrices through OpenBLAS, one BLAS thread per worker.
///
/// Work is cut into pieces whose bounds depend on the shapes alone, so results do not depend on the
/// number of threads.
package enum MatrixProduct {
  private static let singleThreaded: Void = openblas_set_num_threads(1)

  /// One operand: a pointer, its row stride, and whether it is read transposed.
  struct Operand {
    let base: UnsafePointer<Float>
    let stride: Int
    let transposed: Bool

    init(_ base: UnsafePointer<Float>, stride: Int, transposed: Bool = false) {
      self.base = base
      self.stride = stride
      self.transposed = transposed
    }

    /// The operand from row `i` of the matrix it stands for.
    func fromRow(_ i: Int) -> UnsafePointer<Float> { base + (transposed ? i : i * stride) }
  }

  /// out = alpha·a·b + beta·out, with a [m, k], b [k, n], out [m, n], on the calling thread.
  static func serial(
    _ m: Int, _ n: Int, _ k: Int, _ a: Operand, _ b: Operand, _ out: UnsafeMutablePointer<Float>,
    stride: Int, alpha: Float = 1, beta: Float = 0
  ) {
    guard m > 0, n > 0 else { return }
    _ = singleThreaded
    cblas_sgemm(
      Int32(CblasRowMajor), Int32(a.transposed ? CblasTrans : CblasNoTrans),
      Int32(b.transposed ? CblasTrans : CblasNoTrans), Int32(m), Int32(n), Int32(k),
      alpha, a.base, Int32(a.stride), b.base, Int32(b.stride), beta, out, Int32(stride))
  }

  /// The same, by pieces of rows on several threads.
  static func parallel(
    _ m: Int, _ n: Int, _ k: Int, _ a: Operand, _ b: Operand, _ out: UnsafeMutablePointer<Float>,
    stride: Int, beta: Float = 0
  ) {
    // A piece of at least 2 MFLOP outweighs waking a thread and packing `b` again; whole tiles of 16.
    let smallest = max(16, 1_000_000 / max(1, n * k))
    let piece = max((smallest + 15) / 16 * 16, (m / 32 + 15) / 16 * 16)
    parallelRanges(m, grain: piece) { rows in
      serial(
        rows.count, n, k,
        Operand(a.fromRow(rows.lowerBound), stride: a.stride, transposed: a.transposed), b,
        out + rows.lowerBound * stride, stride: stride, beta: beta)
    }
  }
}

extension MatrixProduct {
  /// out[:, columns] += alpha·a·b[rowsOfB, columns], for a [rows, rowsOfB.count] and row-major
  /// b and out of `rowStride` columns.
  package static func accumulate(
    _ alpha: Float, _ a: [Float], rows: Int, _ b: [Float], rowStride: Int, in rowsOfB: Range<Int>,
    columns: Range<Int>, into out: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(a.count == rows * rowsOfB.count && out.count == rows * rowStride)
    precondition(columns.upperBound <= rowStride && rowsOfB.upperBound * rowStride <= b.count)
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        guard let a = a.baseAddress, let b = b.baseAddress, let out = out.baseAddress else {
          return
        }
        parallelRanges(rows, grain: 64) { range in
          serial(
            range.count, columns.count, rowsOfB.count,
            Operand(a + range.lowerBound * rowsOfB.count, stride: rowsOfB.count),
            Operand(b + rowsOfB.lowerBound * rowStride + columns.lowerBound, stride: rowStride),
            out + range.lowerBound * rowStride + columns.lowerBound, stride: rowStride,
            alpha: alpha, beta: 1)
        }
      }
    }
  }
}
