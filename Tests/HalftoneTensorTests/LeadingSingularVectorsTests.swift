import HalftoneTensor
import HalftoneTestSupport
import Testing

@Suite struct LeadingSingularVectorsTests {
  /// diag(2, −3, 1) beside a column of zeros.
  @Test func diagonalMatrixByHand() throws {
    let elements: [Double] = [2, 0, 0, 0, 0, -3, 0, 0, 0, 0, 1, 0]
    let svd = try LeadingSingularVectors(of: elements, rows: 3, columns: 4, count: 2)
    for (value, expected) in zip(svd.values, [3.0, 2.0]) { #expect(abs(value - expected) < 1e-14) }
    let (left, right) = ([[0.0, 1, 0], [1, 0, 0]], [[0.0, -1, 0, 0], [1, 0, 0, 0]])
    for (found, expected) in zip(svd.left + svd.right, left + right) {
      #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-14 }, "\(found)")
    }
  }

  /// M·v = σ·u, Mᵀ·u = σ·v, vectors orthonormal, and Σσ² the sum of squares.
  @Test(arguments: [(5, 9), (9, 5), (1, 4), (4, 1), (6, 6)])
  func defineThemselves(rows: Int, columns: Int) throws {
    var generator = SeededGenerator(seed: UInt64(rows * 16 + columns))
    let m = (0..<rows * columns).map { _ in Double(generator.normal()) }
    let count = min(rows, columns)
    let svd = try LeadingSingularVectors(of: m, rows: rows, columns: columns, count: count)
    for k in 0..<count {
      let (u, v, sigma) = (svd.left[k], svd.right[k], svd.values[k])
      for i in 0..<rows {
        let row = Array(m[i * columns..<(i + 1) * columns])
        let product = dot(row, v)
        #expect(abs(product - sigma * u[i]) < 1e-12)
      }
      for j in 0..<columns {
        let product = dot((0..<rows).map { m[$0 * columns + j] }, u)
        #expect(abs(product - sigma * v[j]) < 1e-12)
      }
      for other in 0...k {
        for vectors in [svd.left, svd.right] {
          let dot = dot(vectors[k], vectors[other])
          #expect(abs(dot - (other == k ? 1 : 0)) < 1e-12)
        }
      }
    }
    #expect(svd.values == svd.values.sorted(by: >))
    let squares = svd.values.map { $0 * $0 }.reduce(0, +)
    let expected = m.map { $0 * $0 }.reduce(0, +)
    #expect(abs(squares - expected) < 1e-11)
  }

  private func dot(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).map { $0 * $1 }.reduce(0, +)
  }

  @Test func aMatrixOfRankOneHasOneValue() throws {
    let m = (0..<12).map { (i: Int) in Double((i / 4 + 1) * (i % 4 + 1)) }
    let svd = try LeadingSingularVectors(of: m, rows: 3, columns: 4, count: 3)
    // (1² + 2² + 3²)(1² + 2² + 3² + 4²)
    #expect(abs(svd.values[0] - (14.0 * 30).squareRoot()) < 1e-12)
    #expect(Array(svd.values.dropFirst()) == [0, 0])
    #expect(svd.left.dropFirst().allSatisfy { $0 == [0, 0, 0] })
  }

  @Test func zerosHaveNoVectors() throws {
    let zeros = [Double](repeating: 0, count: 6)
    let svd = try LeadingSingularVectors(of: zeros, rows: 2, columns: 3, count: 2)
    #expect(svd.values == [0, 0])
    #expect((svd.left + svd.right).allSatisfy { $0.allSatisfy { $0 == 0 } })
  }

  @Test func notANumberIsRefused() {
    #expect(throws: SingularVectorError.self) {
      try LeadingSingularVectors(of: [1, .nan, 0, 1], rows: 2, columns: 2, count: 1)
    }
  }
}
