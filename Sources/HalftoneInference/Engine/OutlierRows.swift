import CHalftoneKernels

/// The elements of some rows whose magnitude reaches a threshold, and the rows without them: the two operands of
/// LLM.int8()'s product.
///
/// Dettmers, Lewis, Belkada, Zettlemoyer. *LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale.*
/// NeurIPS 2022. <https://arxiv.org/abs/2208.07339>
final class OutlierRows {
  private let threshold: Float
  private let description = UnsafeMutablePointer<halftone_outliers>.allocate(capacity: 1)
  private let counts = Scratch<UInt32>()
  private let columns = Scratch<UInt32>()
  private let values = Scratch<Float>()
  private let others = Scratch<Float>()

  init(from threshold: Float) {
    self.threshold = threshold
    description.initialize(to: halftone_outliers())
  }

  deinit { description.deallocate() }

  /// For the kernels, valid as long as this object lives.
  var kernelOutliers: UnsafePointer<halftone_outliers> { UnsafePointer(description) }

  /// Makes room for `rows` rows of `columns` elements, all of which may be outliers.
  func reserve(rows: Int, columns count: Int) {
    description.pointee = halftone_outliers(
      rows: rows, stride: count, counts: UnsafePointer(counts.reserve(rows)),
      columns: UnsafePointer(columns.reserve(rows * count)),
      values: UnsafePointer(values.reserve(rows * count)))
    others.reserve(rows * count)
  }

  /// Keeps the outliers of row `row`, and returns it with zeros in their places.
  func take(from x: UnsafeBufferPointer<Float>, row: Int) -> UnsafeBufferPointer<Float> {
    let (start, rest) = (row * x.count, others.base + row * x.count)
    var found = 0
    for j in x.indices {
      let isOutlier = abs(x[j]) >= threshold
      rest[j] = isOutlier ? 0 : x[j]
      guard isOutlier else { continue }
      columns.base[start + found] = UInt32(j)
      values.base[start + found] = x[j]
      found += 1
    }
    counts.base[row] = UInt32(found)
    return UnsafeBufferPointer(start: rest, count: x.count)
  }
}
