import COpenBLAS

/// The largest singular values of a matrix with their vectors, in double precision.
///
/// From the eigenvectors of the smaller of M·Mᵀ and Mᵀ·M, which is exact enough for the leading ones:
/// a singular value is off by about 10⁻¹⁶·σ₁²/σ. On one thread, so that every run gives the same.
public struct LeadingSingularVectors: Sendable {
  /// Falling.
  public let values: [Double]
  /// One vector of length `rows` for each value, zero where the value is.
  public let left: [[Double]]
  /// One vector of length `columns` for each value; its sign makes the largest element of the vector
  /// on the shorter side positive.
  public let right: [[Double]]

  /// Of the row-major matrix `elements`.
  ///
  /// - Throws: ``SingularVectorError`` for numbers that are not finite, or if LAPACK does not converge.
  public init(
    of elements: [Double], rows: Int, columns: Int, count: Int
  ) throws(SingularVectorError) {
    precondition(elements.count == rows * columns)
    precondition((1...max(1, min(rows, columns))).contains(count), "\(count) singular values")
    guard elements.allSatisfy(\.isFinite) else {
      throw SingularVectorError(description: "the matrix holds numbers that are not finite")
    }
    let isWide = rows <= columns
    let size = min(rows, columns)
    let gram = Self.gram(elements, rows, columns, ofRows: isWide)
    let (eigenvalues, short) = try Self.leadingEigenvectors(gram, size, count)
    // Eigenvalues this small are rounding errors of the Gram matrix.
    let floor = (eigenvalues.first ?? 0) * Double(size) * .ulpOfOne
    let values = eigenvalues.map { $0 > floor ? $0.squareRoot() : 0 }
    let long = Self.product(elements, rows, columns, short, transposed: isWide)
    let scaled = zip(long, values).map { vector, value in
      vector.map { value > 0 ? $0 / value : 0 }
    }
    let kept = zip(short, values).map { $1 > 0 ? $0 : $0.map { _ in 0 } }
    (self.values, left, right) = (values, isWide ? kept : scaled, isWide ? scaled : kept)
  }

  /// M·Mᵀ or Mᵀ·M.
  private static func gram(
    _ m: [Double], _ rows: Int, _ columns: Int, ofRows: Bool
  ) -> [Double] {
    BLASLibrary.prepare()
    let (size, inner) = ofRows ? (rows, columns) : (columns, rows)
    var gram = [Double](repeating: 0, count: size * size)
    gram.withUnsafeMutableBufferPointer { out in
      cblas_dgemm(
        Int32(CblasRowMajor), Int32(ofRows ? CblasNoTrans : CblasTrans),
        Int32(ofRows ? CblasTrans : CblasNoTrans), Int32(size), Int32(size), Int32(inner), 1, m,
        Int32(columns), m, Int32(columns), 0, out.baseAddress, Int32(size))
    }
    return gram
  }

  /// Each vector times M, or times Mᵀ.
  private static func product(
    _ m: [Double], _ rows: Int, _ columns: Int, _ vectors: [[Double]], transposed: Bool
  ) -> [[Double]] {
    let length = transposed ? columns : rows
    var result = [Double](repeating: 0, count: vectors.count * length)
    result.withUnsafeMutableBufferPointer { out in
      cblas_dgemm(
        Int32(CblasRowMajor), Int32(CblasNoTrans),
        Int32(transposed ? CblasNoTrans : CblasTrans), Int32(vectors.count), Int32(length),
        Int32(transposed ? rows : columns), 1, vectors.flatMap { $0 },
        Int32(transposed ? rows : columns), m, Int32(columns), 0, out.baseAddress, Int32(length))
    }
    return vectors.indices.map { Array(result[$0 * length..<($0 + 1) * length]) }
  }

  /// The eigenvectors of the largest eigenvalues of a symmetric matrix, falling.
  private static func leadingEigenvectors(
    _ matrix: [Double], _ size: Int, _ count: Int
  ) throws(SingularVectorError) -> (values: [Double], vectors: [[Double]]) {
    var (a, n, info, found) = (matrix, Int32(size), Int32(0), Int32(0))
    var (low, high, none) = (Int32(size - count + 1), Int32(size), 0.0)
    var values = [Double](repeating: 0, count: size)
    var vectors = [Double](repeating: 0, count: size * count)
    var support = [Int32](repeating: 0, count: 2 * max(1, count))
    var (workSize, wholeSize) = (Int32(26 * max(1, size)), Int32(10 * max(1, size)))
    var work = [Double](repeating: 0, count: Int(workSize))
    var whole = [Int32](repeating: 0, count: Int(wholeSize))
    dsyevr_(
      "V", "I", "U", &n, &a, &n, &none, &none, &low, &high, &none, &found, &values, &vectors, &n,
      &support, &work, &workSize, &whole, &wholeSize, &info, 1, 1, 1)
    guard info == 0, Int(found) == count else {
      throw SingularVectorError(description: "the singular values did not converge")
    }
    let order = (0..<count).reversed()
    return (
      order.map { max(0, values[$0]) },
      order.map { signed(Array(vectors[$0 * size..<($0 + 1) * size])) }
    )
  }

  /// The vector or its opposite, whose largest element is positive; of equal ones the first counts.
  private static func signed(_ vector: [Double]) -> [Double] {
    let largest = vector.reduce(0) { abs($1) > abs($0) ? $1 : $0 }
    return largest < 0 ? vector.map { -$0 } : vector
  }
}

/// Singular vectors that could not be computed.
public struct SingularVectorError: Error, Equatable, CustomStringConvertible {
  public let description: String
}
