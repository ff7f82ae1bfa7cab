import Foundation
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// The random numbers: their bits, which recipes' seeds promise, and their distributions.
@Suite struct SeededGeneratorTests {
  private struct Golden: Decodable {
    let seed: String
    let outputs: [String]
  }

  @Test func firstOutputsAreXoshiros() throws {
    let data = try Repository.data("Tests/HalftoneTensorTests/Golden/random-numbers.json")
    let cases = try JSONDecoder().decode([Golden].self, from: data)
    #expect(cases.count == 5)
    for golden in cases {
      var generator = SeededGenerator(seed: try #require(UInt64(golden.seed)))
      #expect(golden.outputs.map { _ in String(generator.next()) } == golden.outputs)
    }
  }

  @Test func uniformIsInUnitInterval() {
    var generator = SeededGenerator(seed: 3)
    let values = (0..<100_000).map { _ in Double(generator.uniform()) }
    #expect(values.allSatisfy { $0 >= 0 && $0 < 1 && ($0 * 0x1p24).rounded() == $0 * 0x1p24 })
    // Five standard deviations of the mean of n uniform numbers: 5/√(12n).
    let mean = values.reduce(0, +) / 1e5
    #expect(abs(mean - 0.5) < 5 / (12 * 1e5).squareRoot())
    var tenths = [Double](repeating: 0, count: 10)
    for value in values { tenths[Int(value * 10)] += 1 }
    #expect(tenths.allSatisfy { abs($0 - 1e4) < 5 * 9000.0.squareRoot() })
  }

  @Test func normalHasItsMoments() {
    var generator = SeededGenerator(seed: 4)
    let values = (0..<100_000).map { _ in Double(generator.normal()) }
    #expect(values.allSatisfy { $0.isFinite })
    // Moments 1 to 4 are 0, 1, 0, 3; the variances of their estimates are 1, 2, 15, 96 over n.
    let moments: [(expected: Double, variance: Double)] = [(0, 1), (1, 2), (0, 15), (3, 96)]
    for (power, moment) in zip([1.0, 2, 3, 4], moments) {
      let mean = values.reduce(0) { $0 + pow($1, power) } / 1e5
      let limit = 5 * (moment.variance / 1e5).squareRoot()
      #expect(abs(mean - moment.expected) < limit, "moment \(power)")
    }
    let within = Double(values.filter { abs($0) < 1 }.count) / 1e5
    let (expected, limit) = (erf(0.5.squareRoot()), 5 * (0.22 / 1e5).squareRoot())
    #expect(abs(within - expected) < limit)
  }

  @Test func belowCoversItsRange() {
    var generator = SeededGenerator(seed: 5)
    let drawn = (0..<1000).map { _ in generator.below(7) }
    #expect(Set(drawn) == Set(0..<7))
    #expect(generator.below(1) == 0)
  }

  @Test func stateSurvivesEncoding() throws {
    var generator = SeededGenerator(seed: 6)
    _ = generator.next()
    let encoded = try JSONEncoder().encode(generator)
    var decoded = try JSONDecoder().decode(SeededGenerator.self, from: encoded)
    #expect(decoded == generator && decoded.next() == generator.next())
  }

  @Test func tensorsTakeNumbersInOrder() {
    var (a, b) = (SeededGenerator(seed: 7), SeededGenerator(seed: 7))
    let tensor = Tensor.normal(shape: [3, 5], using: &a)
    #expect(tensor.shape == [3, 5] && tensor.values == (0..<15).map { _ in b.normal() })
    #expect(SeededGenerator(seed: 7) != SeededGenerator(seed: 8))
  }
}
