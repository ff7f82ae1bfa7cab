import Foundation
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

@Suite struct DyadicTests {
  /// 1/3 = 0.667/2, and 0.667·256 is nearest to 171; HAWQ-V3's factors have 31 bits.
  @Test func fractionsAreThoseOfThePaper() {
    #expect(Dyadic(nearest: 1.0 / 3, bits: 8) == Dyadic(multiplier: 171, shift: 9))
    #expect(Dyadic(nearest: 0.75, bits: 31) == Dyadic(multiplier: 3 << 29, shift: 31))
    #expect(Dyadic(nearest: 1, bits: 8) == Dyadic(multiplier: 128, shift: 7))
    // 0.9999 rounds up to 256/256, which is 128/128.
    #expect(Dyadic(nearest: 0.9999, bits: 8) == Dyadic(multiplier: 128, shift: 7))
    #expect(Dyadic(nearest: 254.4, bits: 8) == Dyadic(multiplier: 254, shift: 0))
    #expect(Dyadic(nearest: 1e9, bits: 8) == Dyadic(multiplier: 255, shift: 0))
    #expect(Dyadic(nearest: 65_534.7, bits: 16).value == 65_535)
  }

  /// No other b of these bits and no other c is nearer.
  @Test(arguments: [2, 5, 8]) func theyAreTheNearest(bits: Int) {
    var generator = SeededGenerator(seed: UInt64(bits))
    for _ in 0..<200 {
      let x = exp2(Double(generator.uniform()) * 20 - 18)
      let found = abs(Dyadic(nearest: x, bits: bits).value - x)
      guard x < Double(Dyadic.largest(bits: bits)) else { continue }
      for shift in 0...40 {
        for b in 1..<(1 << bits) { #expect(abs(scalbn(Double(b), -shift) - x) >= found) }
      }
    }
  }

  @Test(arguments: [8, 16, 31]) func theErrorIsHalfABit(bits: Int) {
    var generator = SeededGenerator(seed: 3)
    for _ in 0..<2000 {
      let x = exp2(Double(generator.uniform()) * 60 - 59)
      let fraction = Dyadic(nearest: x, bits: bits)
      #expect(abs(fraction.value - x) <= x * exp2(-Double(bits)))
      #expect(fraction.multiplier >= 1 << (bits - 1) && fraction.shift >= 0)
    }
  }

  /// Against the same in floating point, where it is exact; halves go up for either sign.
  @Test func integersAreRescaledWithoutDivision() {
    #expect(Dyadic(multiplier: 1, shift: 1).scaled(3) == 2)
    #expect(Dyadic(multiplier: 1, shift: 1).scaled(-3) == -1)
    #expect(Dyadic(multiplier: 200, shift: 0).scaled(-7) == -1400)
    #expect(Dyadic(multiplier: .max, shift: 70).scaled(.min) == 0)
    #expect(Dyadic(multiplier: .max, shift: 62).scaled(.min) == -1)
    var generator = SeededGenerator(seed: 8)
    for _ in 0..<20_000 {
      let a = Int32(generator.below(1 << 24)) - 1 << 23
      let fraction = Dyadic(
        multiplier: Int32(1 + generator.below(1 << 16)), shift: generator.below(40))
      let exact = (Double(a) * fraction.value + 0.5).rounded(.down)
      #expect(fraction.scaled(a) == Int64(exact))
    }
  }

  /// A layer of integers alone: codes of weights and inputs, 32-bit sums, b and c for each row.
  ///
  /// Its output codes are those of the same layer in floating point, but for sums within the last bit of a tie.
  @Test(arguments: [ScaleFormat.dyadic8, .dyadic16]) func aLayerRunsOnIntegers(
    _ scales: ScaleFormat
  )
    throws
  {
    let (rows, columns, tokens) = (24, 96, 40)
    let w = weights([rows, columns], 21)
    let scheme = WeightScheme(format: IntegerFormat.int4, scales: scales)
    let quantized = try scheme.grids(for: w).quantize(w, format: scheme.format)
    let x = codes([tokens, columns], -127...127, 22)
    let inputStep = Dyadic(nearest: 0.0173, bits: 16)
    let outputStep = 0.21
    let (weightCodes, inputCodes) = (quantized.codes.float().values, x.float().values)
    let dense = quantized.dequantized().values
    var differences = 0
    for i in 0..<rows {
      let own = Dyadic(nearest: Double(quantized.levels[0].values[i]), bits: 16)
      #expect(Float(own.value) == quantized.levels[0].values[i])
      let factor = Dyadic(nearest: own.value * inputStep.value / outputStep, bits: 31)
      for t in 0..<tokens {
        var (sum, exact) = (Int32(0), 0.0)
        for j in 0..<columns {
          sum += Int32(weightCodes[i * columns + j]) * Int32(inputCodes[t * columns + j])
          exact +=
            Double(dense[i * columns + j]) * Double(inputCodes[t * columns + j]) * inputStep.value
        }
        let code = factor.scaled(sum)
        if code != Int64((exact / outputStep + 0.5).rounded(.down)) { differences += 1 }
        #expect(abs(Double(code) - exact / outputStep) <= 0.5 + 1e-4)
      }
    }
    #expect(differences <= 1)
  }

  @Test(arguments: [(ScaleFormat.dyadic8, 8), (.dyadic16, 16)])
  func scalesAreSuchFractions(_ scales: ScaleFormat, bits: Int) throws {
    let w = weights([16, 64], 5)
    for range in [RangeRule.minMax, .minMSE] {
      let plain = WeightScheme(
        format: IntegerFormat.int4, granularity: .group(16), range: range)
      var scheme = plain
      scheme.scales = scales
      let found = try scheme.grids(for: w).scales.values
      for (scale, own) in zip(found, try plain.grids(for: w).scales.values) {
        #expect(Float(Dyadic(nearest: Double(scale), bits: bits).value) == scale)
        if range == .minMax { #expect(abs(scale - own) <= own * exp2(-Float(bits))) }
      }
    }
    let large = Tensor(repeating: 1e6, shape: [1, 16])
    let scheme = WeightScheme(format: IntegerFormat.int4, scales: scales)
    if bits == 8 {
      #expect(throws: SchemeError.self) { try scheme.grids(for: large) }
      #expect(throws: SchemeError.self) { try scheme.rounded(large) }
    }
  }
}
