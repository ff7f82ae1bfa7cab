import Foundation
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Scales that were quantized themselves.
@Suite struct NestedScalesTests {
  private func scheme(group: Int = 64, _ word: String = "nf4") throws -> WeightScheme {
    WeightScheme(
      format: try #require(NumberFormats.named(word)), granularity: .group(group), range: .minMax,
      scales: .nested)
  }

  private func nearlySame(_ a: [Float], _ b: [Float], _ tolerance: Float) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= tolerance * abs($1) }
  }

  /// What bitsandbytes makes of the same weights: `Scripts/golden/nf4_double.py`.
  @Test func scalesAreThoseOfBitsAndBytes() throws {
    let golden = try GoldenFile("nf4-double.safetensors")
    let w = try golden.floats("weights")
    var plain = try scheme()
    plain.scales = .float
    #expect(try plain.grids(for: w).scales.values == golden.floats("absmax").values)
    let table = try scheme().grids(for: w)
    let nested = try #require(table.nested)
    #expect(nested.codes == (try golden.bytes("codes")))
    #expect(nearlySame(nested.units, try golden.floats("units").values, 1e-6))
    #expect(nearlySame([nested.mean], try golden.floats("mean").values, 1e-6))
    #expect(nearlySame(table.scales.values, try golden.floats("scales").values, 1e-6))
    // Each code stands for the number of bitsandbytes' table.
    let all = try NestedScales.loaded(codes: (0...255).map { UInt8($0) }, units: [1], mean: 2)
    let map = try golden.floats("map").values
    #expect(zip(all.scales, map).allSatisfy { abs($0 - 2 - $1) < 3e-7 })
    // Codes of weights fit the scales as stored, which those of bitsandbytes do not.
    let rounded = try table.quantize(w, format: NormalFloat())
    let error = zip(w.values, rounded.dequantized().values).reduce(0.0) {
      $0 + pow(Double($1.0) - Double($1.1), 2)
    }
    let theirs = try golden.floats("error").scalar
    #expect(error < Double(theirs) && error > 0.98 * Double(theirs))
  }

  /// QLoRA, section 3: 8/64 + 32/(64·256) = 0.127 bits a weight in the place of 32/64 = 0.5.
  @Test func scalesTakeTheBitsOfThePaper() {
    let count = 4096.0 * 4096
    let bits = Double(ScaleFormat.nested.storedBits(rows: 4096, groups: 64)) / count
    #expect(abs(bits - (8.0 / 64 + 32.0 / (64 * 256))) < 1e-5 && abs(bits - 0.127) < 1e-4)
    #expect(Double(ScaleFormat.float.storedBits(rows: 4096, groups: 64)) / count == 0.5)
    #expect(ScaleFormat.nested.storedBits(rows: 3, groups: 100) == 8 * 300 + 32 * 2 + 32)
  }

  /// Scales far below the mean, zeros, and all the same.
  @Test func everyScaleStaysAboveZero() throws {
    var generator = SeededGenerator(seed: 4)
    var values = (0..<16 * 128).map { _ in generator.normal() * 1e-5 }
    for i in 0..<16 { values[i] = 100 * generator.normal() }
    for i in 32..<64 { values[i] = 0 }
    let w = Tensor(values, shape: [16, 128])
    let table = try scheme(group: 16).grids(for: w)
    #expect(table.scales.values.allSatisfy { $0.isNormal && $0 > 0 })
    #expect(try #require(table.nested).scales == table.scales.values)
    let found = try table.quantize(w, format: NormalFloat())
    #expect(found.dequantized().values[32..<64].allSatisfy { $0 == 0 })
    #expect(found.nested == table.nested)
    for fill in [Float(0), 0.5] {
      let same = try scheme(group: 16).grids(for: Tensor(repeating: fill, shape: [4, 64]))
      #expect(same.scales.values.allSatisfy { $0 == (fill == 0 ? 1 : fill) })
    }
  }

  /// A scale of eight bits costs little: within 0.1 dB of floats on normal numbers.
  @Test(arguments: ["nf4", "int4", "e2m1"]) func theyCostLittle(_ word: String) throws {
    let w = weights([64, 1024], 12)
    func noise(_ scales: ScaleFormat) throws -> Double {
      var scheme = try scheme(word)
      scheme.scales = scales
      let found = try scheme.grids(for: w).quantize(w, format: scheme.format).dequantized()
      return zip(w.values, found.values).reduce(0) { $0 + pow(Double($1.0) - Double($1.1), 2) }
    }
    let ratio = try 10 * log10(noise(.nested) / noise(.float))
    #expect(abs(ratio) < 0.1, "\(ratio) dB")
  }

  @Test func whatIsNoneIsRefused() throws {
    let w = weights([1, 64], 1)
    #expect(throws: SchemeError.self) { try scheme().grids(for: w) }
    for (codes, units, mean) in [
      ([0], [], 1), ([], [], 1), ([0], [1, 1], 1), ([0], [-1], 3), ([0], [.nan], 3),
      ([0], [1], .nan),
      ([0], [1], 0.5), ([127], [1], 0), ([255], [.infinity], 1), ([255], [3e38], 3e38),
    ] as [([UInt8], [Float], Float)] {
      #expect(throws: SchemeError.self) {
        try NestedScales.loaded(codes: codes, units: units, mean: mean)
      }
    }
  }
}
