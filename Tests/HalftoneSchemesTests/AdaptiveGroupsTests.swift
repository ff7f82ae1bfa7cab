import Foundation
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

@Suite struct AdaptiveGroupsTests {
  private func normal(_ rows: Int, _ columns: Int, seed: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    return (0..<rows * columns).map { _ in generator.normal() }
  }

  /// Ranges of normal numbers shrink with their group, by no more than a tenth a halving down to 32.
  @Test func normalNumbersStayWhole() {
    for columns in [64, 512, 1024] {
      let rows = (1 << 18) / columns
      let w = Tensor(normal(rows, columns, seed: 1), shape: [rows, columns])
      #expect(AdaptiveGroups().granularity(for: w) == .channel)
      // With half of that threshold they do not.
      let eager = AdaptiveGroups(threshold: 0.05)
      #expect(eager.granularity(for: w) == .group(32))
    }
  }

  @Test func outliersInRowsCallForSmallGroups() {
    var values = normal(64, 512, seed: 2)
    for row in 0..<64 { values[row * 512 + row * 7 % 512] = 12 }
    #expect(
      AdaptiveGroups().granularity(for: Tensor(values, shape: [64, 512])) == .group(32))
    #expect(
      AdaptiveGroups(least: 128).granularity(for: Tensor(values, shape: [64, 512])) == .group(128))
  }

  /// Two halves of one size each: R falls from 1 to (1 + 0.1)/2 at the first halving, and no more.
  @Test func halvingStopsWhereRangesStay() {
    let values = (0..<4 * 64).map { Float($0 % 64 < 32 ? 1 : 0.1) }
    let w = Tensor(values, shape: [4, 64])
    #expect(AdaptiveGroups(threshold: 0.4, least: 8).granularity(for: w) == .group(32))
    #expect(AdaptiveGroups(threshold: 0.5, least: 8).granularity(for: w) == .channel)
  }

  @Test func groupsDivideTheRows() {
    #expect(AdaptiveGroups(least: 32).finest(columns: 172) == .group(43))
    #expect(AdaptiveGroups(least: 32).finest(columns: 64) == .group(32))
    #expect(AdaptiveGroups(least: 32).finest(columns: 63) == .channel)
    #expect(AdaptiveGroups(least: 100).finest(columns: 64) == .channel)
    let zeros = Tensor(repeating: 0, shape: [2, 64])
    #expect(AdaptiveGroups().granularity(for: zeros) == .channel)
  }

  /// A power of two as the scale of a tensor is its exponent bias: none of 64 has a smaller error than the
  /// one that is found.
  @Test(arguments: [(2, 1), (3, 2), (4, 3)]) func powersOfTwoAreExponentBiases(
    exponent: Int, mantissa: Int
  ) throws {
    for size in [0.01, 1, 300] as [Float] {
      let values = normal(8, 64, seed: 5).map { $0 * size }
      let w = Tensor(values, shape: [8, 64])
      func error(_ scale: Float, _ format: FloatFormat) -> Double {
        guard let levels = format.levels else { return .infinity }
        return values.reduce(0) {
          $0 + pow(abs(Double($1) - Double(levels.nearest(to: $1 / scale).value * scale)), 2.4)
        }
      }
      let usual = try FloatFormat(exponentBits: exponent, mantissaBits: mantissa)
      let scheme = WeightScheme(format: usual, granularity: .tensor, scales: .e8m0)
      let found = try scheme.grids(for: w).scales.scalar
      #expect(found.significand == 1)
      let best =
        try (0...40).map { bias in
          try error(
            1, FloatFormat(exponentBits: exponent, mantissaBits: mantissa, bias: bias))
        }.min() ?? 0
      #expect(error(found, usual) <= best * (1 + 1e-6))
      // Its bias, as files of such floats state it.
      let bias = usual.bias - Int(found.exponent)
      guard (0...63).contains(bias) else { continue }
      let own = try FloatFormat(exponentBits: exponent, mantissaBits: mantissa, bias: bias)
      #expect(abs(error(1, own) - error(found, usual)) <= 1e-6 * best)
    }
  }
}
