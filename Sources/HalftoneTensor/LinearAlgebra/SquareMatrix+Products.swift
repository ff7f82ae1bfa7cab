import COpenBLAS

extension SquareMatrix {
  /// Adds Σ x·xᵀ over the rows x of `samples` [tokens, size], in pieces of fixed length.
  public mutating func addGram(of samples: Tensor) { addProduct(of: samples, samples) }

  /// Adds Σ a·bᵀ over pairs of rows of `a` and `b`, each [tokens, size], in pieces of fixed length.
  public mutating func addProduct(of a: Tensor, _ b: Tensor) {
    precondition(a.columns == size && b.columns == size && a.rows == b.rows)
    for start in stride(from: 0, to: a.rows, by: 4096) {
      let rows = start..<min(start + 4096, a.rows)
      let pieces = [a, b].map { $0.relabeled([$0.rows, size]).view(rows) }
      pieces[0].transposedTimes(pieces[1]).withElements { sum in
        for i in sum.indices { elements[i] += Double(sum[i]) }
      }
    }
  }

  /// `rows`·self for row-major `rows` [any, size], in pieces of fixed height.
  public func applied(to rows: [Double]) -> [Double] {
    guard size > 0 else { return [] }
    precondition(rows.count % size == 0)
    BLASLibrary.prepare()
    return [Double](unsafeUninitializedCapacity: rows.count) { out, count in
      count = rows.count
      guard let out = out.baseAddress else { return }
      rows.withUnsafeBufferPointer { rows in
        elements.withUnsafeBufferPointer { matrix in
          guard let rows = rows.baseAddress, let matrix = matrix.baseAddress else { return }
          parallelRanges(count / size, grain: 128) { range in
            let (start, n) = (range.lowerBound * size, Int32(size))
            cblas_dgemm(
              Int32(CblasRowMajor), Int32(CblasNoTrans), Int32(CblasNoTrans), Int32(range.count), n,
              n, 1, rows + start, n, matrix, n, 0, out + start, n)
          }
        }
      }
    }
  }

  /// x·self·xᵀ of every row x of row-major `rows` [any, size].
  public func quadraticForms(of rows: [Double]) -> [Double] {
    let images = applied(to: rows)
    return (0..<rows.count / max(1, size)).map { row in
      (row * size..<(row + 1) * size).reduce(0) { $0 + rows[$1] * images[$1] }
    }
  }

  /// The largest eigenvalue of a positive semidefinite matrix by power iteration: an estimate from
  /// below.
  public func largestEigenvalue(iterations: Int = 30) -> Double {
    // Not orthogonal to the leading vector but by accident: no two elements are alike.
    var x = (0..<size).map { 1 + Double($0) / Double(max(1, size)) }
    var norm = 0.0
    for _ in 0..<iterations {
      x = applied(to: x)
      norm = x.reduce(0) { $0 + $1 * $1 }.squareRoot()
      guard norm > 0 else { return 0 }
      for i in x.indices { x[i] /= norm }
    }
    return norm
  }

  /// Whether no element is NaN or infinite.
  public var isFinite: Bool { elements.allSatisfy(\.isFinite) }

  public static func - (a: SquareMatrix, b: SquareMatrix) -> SquareMatrix {
    precondition(a.size == b.size)
    var result = a
    for i in b.elements.indices { result.elements[i] -= b.elements[i] }
    return result
  }
}
