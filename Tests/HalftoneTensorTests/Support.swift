import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Standard normal elements, the same for a seed.
func normal(_ shape: [Int], _ seed: UInt64) -> Tensor {
  var generator = SeededGenerator(seed: seed)
  return .normal(shape: shape, using: &generator)
}

/// A matrix in double precision: the oracle's numbers.
struct Matrix {
  let rows: Int
  let columns: Int
  var elements: [Double]

  init(rows: Int, columns: Int, _ element: (Int, Int) -> Double = { _, _ in 0 }) {
    (self.rows, self.columns) = (rows, columns)
    elements = []
    elements.reserveCapacity(rows * columns)
    for i in 0..<rows { for j in 0..<columns { elements.append(element(i, j)) } }
  }

  init(_ tensor: Tensor) {
    (rows, columns) = (tensor.rows, tensor.columns)
    elements = tensor.values.map(Double.init)
  }

  subscript(i: Int, j: Int) -> Double {
    get { elements[i * columns + j] }
    set { elements[i * columns + j] = newValue }
  }

  var transposed: Matrix { Matrix(rows: columns, columns: rows) { self[$1, $0] } }

  func map(_ function: (Double) -> Double) -> Matrix {
    var result = self
    result.elements = elements.map(function)
    return result
  }

  /// The product by three loops.
  func times(_ other: Matrix) -> Matrix {
    var result = Matrix(rows: rows, columns: other.columns)
    for i in 0..<rows {
      for k in 0..<columns {
        let a = self[i, k]
        for j in 0..<other.columns { result[i, j] += a * other[k, j] }
      }
    }
    return result
  }
}

/// Expects each element within `tolerance` of `expected`, relative to the largest expected magnitude.
func expectClose(
  _ actual: Tensor, _ expected: Matrix, tolerance: Float,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  expectClose(
    actual.values, expected.elements.map { Float($0) }, tolerance: tolerance,
    sourceLocation: sourceLocation)
}

/// The bits of all elements: unlike values, they tell −0 from 0 and compare NaN.
func bits(_ tensor: Tensor) -> [UInt32] { tensor.values.map(\.bitPattern) }

/// Suites that set the number of threads: one after the other, and the setting is put back.
///
/// Other suites run meanwhile and may change the setting too; no result depends on it, so this can
/// only make these tests weaker, never fail.
@Suite(.serialized) struct ThreadTests {
  static func withThreads<R>(_ threads: Int, _ body: () throws -> R) rethrows -> R {
    let before = Parallelism.threads
    defer { Parallelism.threads = before }
    Parallelism.threads = threads
    return try body()
  }

  /// Expects the bits of the tensors that `body` makes to be the same for 1, 2 and 3 threads.
  static func expectSameBits(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () -> [Tensor]
  ) {
    let expected = withThreads(1, body).map(bits)
    for threads in [2, 3] {
      let actual = withThreads(threads, body).map(bits)
      #expect(actual == expected, "\(threads) threads", sourceLocation: sourceLocation)
    }
  }
}
