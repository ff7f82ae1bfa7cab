import Foundation
import HalftoneTensor
import Testing

/// Against the definitions in `Double`, word by word.
@Suite struct TokenScoresTests {
  static let (rows, width) = (7, 53)

  static func logits(_ seed: UInt64, scale: Float) -> Tensor {
    var generator = SeededGenerator(seed: seed)
    return Tensor.normal(shape: [rows, width], using: &generator) * scale
  }

  /// ln softmax of each row.
  static func logProbabilities(_ x: Tensor) -> [[Double]] {
    (0..<rows).map { i in
      let row = x.values[i * width..<(i + 1) * width].map(Double.init)
      let normalizer = log(row.reduce(0) { $0 + exp($1) })
      return row.map { $0 - normalizer }
    }
  }

  @Test func `losses are minus the logarithm of the target's probability`() {
    let x = Self.logits(1, scale: 4)
    let targets = (0..<Self.rows).map { $0 * 9 % Self.width }
    let expected = zip(Self.logProbabilities(x), targets).map { -$0[$1] }
    for (a, b) in zip(x.negativeLogLikelihoods(targets: targets), expected) {
      #expect(abs(a - b) < 2e-6)  // two roundings of a float below 16
    }
  }

  /// Differences from far to hardly any: the small ones are lost if normalizers are subtracted.
  @Test(arguments: [Float(5), 0.3, 0.01, 1e-4])
  func `divergences are accurate for near and far distributions`(_ distance: Float) {
    let p = Self.logits(2, scale: 3)
    let q = p + Self.logits(3, scale: distance)
    let expected = zip(Self.logProbabilities(p), Self.logProbabilities(q)).map { p, q in
      zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
    }
    for (a, b) in zip(q.klDivergences(from: p), expected) {
      #expect(abs(a - b) < 2e-6 * b + 1e-14)
    }
  }

  @Test func `equal rows do not diverge, and ties go to the first`() {
    let x = Self.logits(4, scale: 3)
    #expect(x.klDivergences(from: x).allSatisfy { $0 == 0 })
    #expect(Tensor([1, 3, 3, 2, 2, 0], shape: [2, 3]).largestIndices() == [1, 0])
  }
}
