import Foundation
import HalftoneInference
import HalftoneTensor
import Testing

@Suite struct SamplerTests {
  /// ln of these probabilities.
  static let logits: [Float] = [0.1, 0.4, 0.2, 0.3].map { logf($0) }

  func shares(_ options: SamplingOptions, count: Int = 20_000) throws -> [Double] {
    var sampler = try Sampler(options)
    var counts = [0.0, 0, 0, 0]
    for _ in 0..<count { counts[try sampler.next(Self.logits)] += 1 }
    return counts.map { $0 / Double(count) }
  }

  /// Five standard deviations of a share over 20,000 draws.
  func agree(_ found: [Double], _ expected: [Double]) -> Bool {
    zip(found, expected).allSatisfy { abs($0 - $1) <= 5 * ($1 * (1 - $1) / 20_000).squareRoot() }
  }

  @Test func `tokens are drawn with the probabilities of the softmax`() throws {
    #expect(agree(try shares(.init(temperature: 1, seed: 3)), [0.1, 0.4, 0.2, 0.3]))
    // At temperature ½ probabilities are squared: 1, 16, 4, 9 of 30.
    let squared = [1.0, 16, 4, 9].map { $0 / 30 }
    #expect(agree(try shares(.init(temperature: 0.5, seed: 3)), squared))
  }

  @Test func `top-k and top-p keep the likeliest`() throws {
    #expect(
      agree(try shares(.init(temperature: 1, topK: 2, seed: 3)), [0, 4.0 / 7, 0, 3.0 / 7]))
    #expect(
      agree(try shares(.init(temperature: 1, topP: 0.75, seed: 3)), [0, 4.0 / 9, 2.0 / 9, 1.0 / 3]))
    #expect(try shares(.init(temperature: 1, topP: 0.01, seed: 3), count: 50) == [0, 1, 0, 0])
    #expect(try shares(.greedy, count: 3) == [0, 1, 0, 0])
  }

  @Test func `extreme temperatures are limits, not faults`() throws {
    for options: SamplingOptions in [
      .init(temperature: 1e-300, topP: 0.9),
      .init(temperature: .leastNonzeroMagnitude, topP: 0.5, minP: 0.1),
      .init(temperature: 1e-300, minP: 0.9), .init(temperature: 1e-300, topK: 3),
      .init(temperature: 1e-300),
    ] {
      #expect(try shares(options, count: 20) == [0, 1, 0, 0])
    }
    // So hot that all weigh the same: three of four reach 0.7, those of the largest logits.
    let third = 1.0 / 3
    #expect(agree(try shares(.init(temperature: 1e300, topP: 0.7)), [0, third, third, third]))
    var sampler = try Sampler(.init(temperature: 1, topP: 0.9))
    #expect(try sampler.next([-.infinity, 3, -.infinity]) == 1)
  }

  @Test func `options and logits that make no sense are refused`() {
    for options: SamplingOptions in [
      .init(temperature: -1), .init(temperature: .nan), .init(topK: 0), .init(topP: 0),
      .init(topP: 1.5), .init(topP: .nan), .init(minP: -0.1), .init(minP: 2),
      .init(repetitionPenalty: 0), .init(repetitionPenalty: .infinity),
      .init(repetitionWindow: -1),
    ] {
      #expect(throws: GenerationError.self) { try Sampler(options) }
    }
    for logits: [Float] in [[], [1, .nan], [.infinity, 1], [-.infinity, -.infinity]] {
      #expect(throws: GenerationError.self) {
        var sampler = try Sampler(.greedy)
        _ = try sampler.next(logits)
      }
    }
  }

  @Test func `min-p keeps what is likely enough beside the likeliest`() throws {
    // 0.4 · 0.6 = 0.24 leaves 0.4 and 0.3; at temperature ½ 16 · 0.6 leaves only 16.
    #expect(
      agree(try shares(.init(temperature: 1, minP: 0.6, seed: 3)), [0, 4.0 / 7, 0, 3.0 / 7]))
    #expect(try shares(.init(temperature: 0.5, minP: 0.6, seed: 3), count: 50) == [0, 1, 0, 0])
    #expect(
      agree(
        try shares(.init(temperature: 1, topK: 3, minP: 0.6, seed: 3)), [0, 4.0 / 7, 0, 3.0 / 7]))
  }

  @Test func `the penalty divides positive logits and multiplies negative ones`() throws {
    func next(_ logits: [Float], after prompt: [Int], _ options: SamplingOptions) throws -> Int {
      var sampler = try Sampler(options, after: prompt)
      return try sampler.next(logits)
    }
    let options = SamplingOptions(repetitionPenalty: 2)
    #expect(try next([3, 2, 1], after: [], options) == 0)
    #expect(try next([3, 2, 1], after: [0], options) == 1)
    #expect(try next([3, 2, 1], after: [0, 0, 1], options) == 0)
    #expect(try next([-1, -1.5, -3], after: [0, 99], options) == 1)
    let window = SamplingOptions(repetitionPenalty: 2, repetitionWindow: 1)
    #expect(try next([3, 2, 1], after: [0, 1], window) == 0)
    #expect(
      try next([3, 2, 1], after: [0], .init(repetitionPenalty: 2, repetitionWindow: 0)) == 0)
  }

  @Test func `chosen tokens are penalized too, within the window`() throws {
    var sampler = try Sampler(.init(repetitionPenalty: 2, repetitionWindow: 2))
    // 8 6 4: 0; 4 6 4: 1; 4 3 4: 0 again, first of equals; 0 stays in the window.
    #expect(try (0..<3).map { _ in try sampler.next([8, 6, 4]) } == [0, 1, 0])
    var all = try Sampler(.init(repetitionPenalty: 4))
    #expect(try (0..<4).map { _ in try all.next([8, 6, 4]) } == [0, 1, 2, 0])
  }

  /// The order of a full sort is the reference.
  @Test(arguments: [1, 7, 300, 5000])
  func `the largest of many are those of a full sort`(_ count: Int) {
    var random = SeededGenerator(seed: 5)
    // Rounded, so that many are equal.
    let logits = (0..<5000).map { _ in (random.normal() * 50).rounded() / 8 }
    let sorted = logits.indices.sorted {
      logits[$0] != logits[$1] ? logits[$0] > logits[$1] : $0 < $1
    }
    #expect(LargestLogits.ids(count, of: logits) == Array(sorted.prefix(count)))
  }

  /// Equal tokens count in the order of their ids.
  @Test func `top-p of a flat distribution keeps its share`() throws {
    var sampler = try Sampler(.init(temperature: 1, topP: 0.5, seed: 1))
    let logits = [Float](repeating: 0.25, count: 1200)
    let found = try Set((0..<5000).map { _ in try sampler.next(logits) })
    #expect(found.isSubset(of: Set(0..<600)))
    // Each of 600 is missed by 5000 draws with probability e^(−8.3).
    #expect(found.count > 580)
  }

  /// The tokens drawn are among those that a full sort keeps, and the rarest of them occurs.
  @Test(arguments: [0.3, 0.9, 0.99]) func `top-p keeps what a full sort does`(
    _ topP: Double
  ) throws {
    var random = SeededGenerator(seed: 8)
    let logits = (0..<300).map { _ in random.normal() }
    let sorted = logits.indices.sorted { logits[$0] > logits[$1] }
    let total = logits.reduce(0) { $0 + exp(Double($1)) }
    var sum = 0.0
    let count = sorted.prefix { id in
      defer { sum += exp(Double(logits[id])) }
      return sum < topP * total
    }.count
    let expected = Set(sorted.prefix(count))
    var sampler = try Sampler(.init(temperature: 1, topP: topP, seed: 2))
    let found = try Set((0..<40_000).map { _ in try sampler.next(logits) })
    // The least of the kept has a share above 1/5000: it is missed with probability e^(−8).
    #expect(found == expected)
  }
}
