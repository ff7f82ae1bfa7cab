import CHalftoneKernels
import COpenBLAS

/// Products of row-major float matrices through OpenBLAS, one BLAS thread per worker.
///
/// Work is cut into pieces whose bounds depend on the shapes alone, so results do not depend on the
/// number of threads.
package enum MatrixProduct {
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

    /// The operand from column `j` of the matrix it stands for.
    func fromColumn(_ j: Int) -> UnsafePointer<Float> { base + (transposed ? j * stride : j) }
  }

  /// out = alpha·a·b + beta·out, with a [m, k], b [k, n], out [m, n], on the calling thread.
  static func serial(
    _ m: Int, _ n: Int, _ k: Int, _ a: Operand, _ b: Operand, _ out: UnsafeMutablePointer<Float>,
    stride: Int, alpha: Float = 1, beta: Float = 0
  ) {
    guard m > 0, n > 0 else { return }
    BLASLibrary.prepare()
    // BLAS refuses a stride of 0, which a matrix without columns has.
    let (aStride, bStride) = (Int32(max(1, a.stride)), Int32(max(1, b.stride)))
    cblas_sgemm(
      Int32(CblasRowMajor), Int32(a.transposed ? CblasTrans : CblasNoTrans),
      Int32(b.transposed ? CblasTrans : CblasNoTrans), Int32(m), Int32(n), Int32(k),
      alpha, a.base, aStride, b.base, bStride, beta, out, Int32(stride))
  }

  /// The same, by tiles on several threads.
  static func parallel(
    _ m: Int, _ n: Int, _ k: Int, _ a: Operand, _ b: Operand, _ out: UnsafeMutablePointer<Float>,
    stride: Int
  ) {
    if m == 1, !a.transposed, b.transposed { return oneRow(n, k, a, b, out) }
    // BLAS packs its operands anew for each tile: 512 × 1024 keeps that below a tenth of the work.
    // At least two tiles where the product outweighs waking a thread, so that two cores share it.
    let worthSharing = m * n * k > 1 << 21
    let height = tileLength(m, at: 512, halving: worthSharing)
    let width = tileLength(n, at: 1024, halving: false)
    let columns = (n + width - 1) / width
    parallelFor((m + height - 1) / height * columns) { tile in
      let (i, j) = (tile / columns * height, tile % columns * width)
      serial(
        min(height, m - i), min(width, n - j), k,
        Operand(a.fromRow(i), stride: a.stride, transposed: a.transposed),
        Operand(b.fromColumn(j), stride: b.stride, transposed: b.transposed), out + i * stride + j,
        stride: stride)
    }
  }

  /// A row times a transposed matrix, as when text is generated: every element of the matrix is used
  /// once, so packing it first would cost more than the product.
  private static func oneRow(
    _ n: Int, _ k: Int, _ a: Operand, _ b: Operand, _ out: UnsafeMutablePointer<Float>
  ) {
    parallelRanges(n, grain: max(1, (1 << 17) / max(1, k))) { range in
      for j in range { out[j] = Kernels.set.dot(a.base, b.fromColumn(j), k) }
    }
  }

  /// `length` in equal parts of at most `most`, multiples of 16; at least two parts if `halving`.
  private static func tileLength(_ length: Int, at most: Int, halving: Bool) -> Int {
    let parts = max((length + most - 1) / most, halving ? 2 : 1)
    return max(16, ((length + parts - 1) / parts + 15) / 16 * 16)
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
        parallelRanges(rows, grain: tileLength(rows, at: 256, halving: true)) { range in
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
