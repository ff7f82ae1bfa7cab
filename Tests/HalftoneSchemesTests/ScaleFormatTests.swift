import Foundation
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

@Suite struct ScaleFormatTests {
  private func scheme(_ word: String, _ range: RangeRule = .minMax) throws -> WeightScheme {
    let block = try #require(NumberFormats.blocks[word])
    return WeightScheme(
      format: try #require(NumberFormats.named(block.format)), granularity: .group(block.group),
      range: range, scales: block.scales)
  }

  private func groups(_ x: Tensor, _ size: Int) -> [ArraySlice<Float>] {
    let values = x.values
    return stride(from: 0, to: values.count, by: size).map { values[$0..<$0 + size] }
  }

  /// X = 2^(⌊log2 amax⌋ − emax): section 6.3 of the specification.
  @Test(arguments: [
    ("mxfp4", 2), ("mxfp6", 2), ("mxfp6-e3m2", 4), ("mxfp8", 8), ("mxfp8-e5m2", 15), ("mxint8", 6),
  ])
  func powersOfTwoFollowTheSpecification(word: String, largest: Int) throws {
    var x = weights([8, 64], 3).values
    for i in 0..<32 { x[i] = 0 }
    (x[32], x[64], x[96]) = (4, 3.9999998, -8)
    let tensor = Tensor(x, shape: [8, 64])
    let table = try scheme(word).grids(for: tensor)
    for (group, scale) in zip(groups(tensor, 32), table.scales.values) {
      let amax = group.map(abs).max() ?? 0
      let expected = amax == 0 ? 1 : exp2(floor(log2(Double(amax))) - Double(largest))
      #expect(Double(scale) == expected)
    }
    #expect(table.unit == 1)
  }

  @Test func theBestPowerOfTwoIsFound() throws {
    let x = weights([4, 32], 5)
    let scheme = try scheme("mxfp4", .minMSE)
    let levels = try #require(scheme.format.levels)
    for (group, scale) in zip(groups(x, 32), try scheme.grids(for: x).scales.values) {
      func error(_ scale: Float) -> Double {
        group.reduce(0) {
          $0 + pow(abs(Double($1 - levels.nearest(to: $1 / scale).value * scale)), 2.4)
        }
      }
      let best = (-12...4).map { exp2(Float($0)) }.min { error($0) < error($1) }
      #expect(scale == best)
    }
  }

  @Test(arguments: [RangeRule.minMax, .minMSE]) func twoLevelsHoldEightBitFloats(range: RangeRule)
    throws
  {
    let x = weights([8, 64], 9)
    let scheme = try scheme("nvfp4", range)
    let table = try scheme.grids(for: x)
    let largest = x.values.map(abs).max() ?? 0
    #expect(abs(table.unit * 448 * 6 / largest - 1) < 1e-6)
    #expect(1 / (1 / table.unit) == table.unit)
    let levels = table.levels()
    #expect(levels.count == 2 && levels[1].values == [table.unit])
    let eightBits = Set((0..<127).map(FloatFormat.e4m3fn.value))
    for (i, stored) in levels[0].values.enumerated() {
      #expect(eightBits.contains(stored) && stored > 0)
      #expect(stored * table.unit == table.scales.values[i])
    }
    if range == .minMax {
      for (group, stored) in zip(groups(x, 16), levels[0].values) {
        let amax = group.map(abs).max() ?? 0
        #expect(
          abs(Double(stored) - Double(amax / 6 / table.unit)) <= Double(stored) / 16 + 0x1p-10)
      }
    }
    let quantized = try table.quantize(x, format: scheme.format)
    let again = try #require(quantized.gridTable)
    #expect(again.scales.values == table.scales.values && again.unit == table.unit)
  }

  @Test func zerosAndHugeNumbersHaveScales() throws {
    for fill in [Float(0), .leastNonzeroMagnitude, 1e-30, 1e38] {
      for word in NumberFormats.blocks.keys {
        let x = Tensor(repeating: fill, shape: [2, 64])
        let table = try scheme(word).grids(for: x)
        #expect(table.scales.values.allSatisfy { $0.isFinite && $0 > 0 }, "\(word) \(fill)")
        let found = try table.quantize(x, format: scheme(word).format).dequantized()
        #expect(found.values.allSatisfy { $0.isFinite })
      }
    }
  }

  /// Decibels that an independent program (numpy) gives for 200,000 normal numbers.
  @Test(arguments: [
    ("mxfp4", 18.8), ("nvfp4", 20.4), ("mxfp6", 30.9), ("mxfp6-e3m2", 25.3), ("mxfp8", 30.6),
    ("mxfp8-e5m2", 25.3), ("mxint8", 41.7),
  ])
  func signalToNoiseIsAsMeasuredElsewhere(word: String, decibels: Double) throws {
    var random = SeededGenerator(seed: 11)
    let x = Tensor.normal(shape: [200, 1024], using: &random)
    let scheme = try scheme(word)
    let found = try scheme.grids(for: x).quantize(x, format: scheme.format).dequantized()
    let (signal, noise) = zip(x.values, found.values).reduce((0.0, 0.0)) {
      let e = Double($1.0) - Double($1.1)
      return ($0.0 + Double($1.0) * Double($1.0), $0.1 + e * e)
    }
    #expect(abs(10 * log10(signal / noise) - decibels) < 0.15)
  }
}
