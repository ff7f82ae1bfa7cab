import COpenBLAS

/// A matrix was not positive definite.
public struct FactorizationError: Error, Equatable, CustomStringConvertible {
  /// The column, counted from 1, whose leading minor is not positive; its trailing minor where the
  /// factor is upper.
  public let pivot: Int
  public var description: String {
    "the matrix is not positive definite at column \(pivot); raise the damping or add samples"
  }
}

/// A square matrix in double precision, row-major, for factorisations.
public struct SquareMatrix: Sendable, Equatable {
  public let size: Int
  public var elements: [Double]

  public init(size: Int, elements: [Double]) {
    precondition(elements.count == size * size)
    self.size = size
    self.elements = elements
  }

  public subscript(i: Int, j: Int) -> Double {
    get { elements[i * size + j] }
    set { elements[i * size + j] = newValue }
  }

  /// The lower triangular L with self = L·Lᵀ; the upper triangle is not read.
  public func cholesky() throws(FactorizationError) -> SquareMatrix {
    var result = self
    try result.factor("U")  // LAPACK is column-major: its upper triangle is our lower one
    for i in 0..<size { for j in i + 1..<max(i + 1, size) { result[i, j] = 0 } }
    return result
  }

  /// The inverse of a positive definite matrix, of which the lower triangle is read.
  public func positiveDefiniteInverse() throws(FactorizationError) -> SquareMatrix {
    var result = self
    try result.factor("U")
    var (n, info) = (Int32(size), Int32(0))
    guard n > 0 else { return result }
    result.elements.withUnsafeMutableBufferPointer { a in
      dpotri_("U", &n, a.baseAddress, &n, &info, 1)
    }
    guard info == 0 else { throw FactorizationError(pivot: Int(info)) }
    for i in 0..<size { for j in i + 1..<max(i + 1, size) { result[i, j] = result[j, i] } }
    return result
  }

  /// The upper triangular U with self⁻¹ = Uᵀ·U, as GPTQ uses it; the lower triangle is read.
  ///
  /// With J the reversal of order and J·self·J = L·Lᵀ, self = (J·L·J)·(J·L·J)ᵀ, so that
  /// U = J·L⁻¹·J: half the work of inverting first.
  public func upperFactorOfInverse() throws(FactorizationError) -> SquareMatrix {
    // In row-major order J·self·J is self from back to front; its upper triangle, which LAPACK calls
    // the lower one, is our lower one.
    var reversed = SquareMatrix(size: size, elements: elements.reversed())
    do throws(FactorizationError) {
      try reversed.factor("L")
    } catch {
      throw FactorizationError(pivot: size + 1 - error.pivot)
    }
    var (n, info) = (Int32(size), Int32(0))
    guard n > 0 else { return self }
    reversed.elements.withUnsafeMutableBufferPointer { a in
      dtrtri_("L", "N", &n, a.baseAddress, &n, &info, 1, 1)
    }
    guard info == 0 else { throw FactorizationError(pivot: size + 1 - Int(info)) }
    var upper = SquareMatrix(zeros: size)
    for i in 0..<size {
      for j in i..<size { upper[i, j] = reversed[size - 1 - j, size - 1 - i] }
    }
    return upper
  }

  /// x with self·x = b, for a lower triangular self.
  public func solvingLowerTriangular(_ b: [Double]) -> [Double] {
    precondition(b.count == size)
    var (x, n, one, info) = (b, Int32(size), Int32(1), Int32(0))
    guard n > 0 else { return x }
    x.withUnsafeMutableBufferPointer { x in
      elements.withUnsafeBufferPointer { a in
        dtrtrs_("U", "T", "N", &n, &one, a.baseAddress, &n, x.baseAddress, &n, &info, 1, 1, 1)
      }
    }
    precondition(info == 0, "a triangular matrix with a zero on its diagonal")
    return x
  }

  private mutating func factor(_ triangle: String) throws(FactorizationError) {
    BLASLibrary.prepare()
    var (n, info) = (Int32(size), Int32(0))
    guard n > 0 else { return }
    elements.withUnsafeMutableBufferPointer { a in
      dpotrf_(triangle, &n, a.baseAddress, &n, &info, 1)
    }
    guard info == 0 else { throw FactorizationError(pivot: Int(info)) }
    // LAPACK lets a number that is not finite pass, and it reaches the diagonal of its row.
    for i in 0..<size where !self[i, i].isFinite { throw FactorizationError(pivot: i + 1) }
  }
}

extension SquareMatrix {
  public init(zeros size: Int) {
    self.init(size: size, elements: [Double](repeating: 0, count: size * size))
  }

  public var diagonalMean: Double {
    (0..<size).reduce(0) { $0 + self[$1, $1] } / Double(max(1, size))
  }

  public func addingToDiagonal(_ value: Double) -> SquareMatrix {
    var result = self
    for i in 0..<size { result[i, i] += value }
    return result
  }

  /// Rows and columns taken in `order`.
  public func permuted(_ order: [Int]) -> SquareMatrix {
    precondition(order.count == size, "an order of \(order.count) for a matrix of size \(size)")
    var result = self
    for (i, a) in order.enumerated() {
      for (j, b) in order.enumerated() { result[i, j] = self[a, b] }
    }
    return result
  }
}
