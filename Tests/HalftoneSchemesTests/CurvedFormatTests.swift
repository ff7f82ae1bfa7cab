import Foundation
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Formats whose values are neither evenly spaced nor floats.
@Suite struct CurvedFormatTests {
  private func table(_ word: String) throws -> [Float] {
    let format = try #require(NumberFormats.named(word))
    guard case .table(let values) = format.values else { return [] }
    #expect(format.name == word)
    #expect(values.count == 1 << format.bits)
    return values
  }

  @Test(arguments: 2...6) func unsignedLogsArePowersOfTwoAndZero(bits: Int) throws {
    let values = try table("ulog\(bits)")
    #expect(values.dropLast().indices.allSatisfy { values[$0] == Float(exp2(-Double($0))) })
    #expect(values.last == 0)
    let halves = try table("ulog\(bits)h")
    #expect(
      stride(from: 0, to: halves.count - 1, by: 2).allSatisfy { halves[$0] == values[$0 / 2] })
    #expect(abs(halves[1] - Float(0.5).squareRoot()) < 1e-7)
  }

  @Test func signedLogsAreFloatsWithoutMantissa() throws {
    let format = try #require(NumberFormats.named("log4"))
    #expect(format.name == "e3m0" && format.extent.high == 16)
    #expect(NumberFormats.named("log2") == nil)
  }

  /// log(|v| + η) is evenly spaced, half a step from log η, and ends at 1.
  @Test(arguments: [3, 4, 8], [0.01, 0.3, 2.5] as [Float])
  func twinLogsAreEvenInTheLogarithm(bits: Int, shift: Float) throws {
    let values = try table(shift == 0.3 ? "twin-log\(bits)" : "twin-log\(bits)-\(shift)")
    let half = values.count / 2
    #expect((0..<half).allSatisfy { values[$0 + half] == -values[$0] })
    #expect(abs(values[half - 1] - 1) < 1e-6)
    let logs = values.prefix(half).map { log(Double($0) + Double(shift)) }
    let step = (log(1 + Double(shift)) - log(Double(shift))) / (Double(half) - 0.5)
    for q in 0..<half {
      #expect(abs(logs[q] - (log(Double(shift)) + (Double(q) + 0.5) * step)) < 1e-5)
    }
  }

  /// Signal to noise on normal and Laplace numbers with the best clip and shift, where a numpy program
  /// that follows LRQ-DiT's formula gives 14.0 and 12.5 dB at 3 bits, 20.1 and 18.0 at 4.
  @Test func twinLogsHaveThePublishedAccuracy() throws {
    var generator = SeededGenerator(seed: 1)
    let normal = (0..<20_000).map { _ in Float(generator.normal()) }
    let laplace = (0..<20_000).map { _ in
      let u = Double(generator.uniform()) - 0.5
      return Float(-log(max(1e-12, 1 - 2 * abs(u))) * (u < 0 ? -1 : 1))
    }
    for (bits, expected) in [(3, (14.0, 12.5)), (4, (20.1, 18.0))] {
      for (values, decibels) in [(normal, expected.0), (laplace, expected.1)] {
        let best =
          try [0.05, 0.1, 0.2, 0.3, 0.5, 1].map { shift -> Double in
            let scheme = WeightScheme(
              format: try TwinLog(bits: bits, shift: Float(shift)), granularity: .tensor)
            let w = Tensor(values, shape: [1, values.count])
            let rounded = try scheme.grids(for: w).quantize(w, format: scheme.format).dequantized()
            return signalToNoise(values, rounded.values)
          }.max() ?? 0
        #expect(abs(best - decibels) < 0.7, "\(bits) bits: \(best) dB, expected \(decibels)")
      }
    }
  }

  /// What Documentation/NumberFormats.md says of 4 bits with one scale for all.
  @Test(arguments: [("twin-log4", 19.9, 17.8), ("e2m1", 19.0, 17.2)])
  func signalToNoiseIsAsDocumented(_ word: String, normal: Double, laplace: Double) throws {
    var generator = SeededGenerator(seed: 1)
    let bell = (0..<200_000).map { _ in generator.normal() }
    let tent = (0..<200_000).map { _ in
      let u = Double(generator.uniform()) - 0.5
      return Float(-log(max(1e-12, 1 - 2 * abs(u))) * (u < 0 ? -1 : 1))
    }
    let scheme = WeightScheme(
      format: try #require(NumberFormats.named(word)), granularity: .tensor)
    for (values, decibels) in [(bell, normal), (tent, laplace)] {
      let w = Tensor(values, shape: [200, 1000])
      let rounded = try scheme.grids(for: w).quantize(w, format: scheme.format).dequantized()
      let found = signalToNoise(values, rounded.values)
      #expect(abs(found - decibels) < 0.1, "\(found) dB")
    }
  }

  @Test(arguments: 2...8, [0.5, 0.9, 0.99] as [Float])
  func tangentsAreEvenOnceTheTangentIsApplied(bits: Int, bend: Float) throws {
    let values = try table(bend == 0.9 ? "tan\(bits)" : "tan\(bits)-\(bend)")
    #expect(values.first == 0 && values.last == 1)
    let images = values.map { tan(Double.pi * Double(bend) * (Double($0) - 0.5)) }
    let step = (images[images.count - 1] - images[0]) / Double(images.count - 1)
    for q in 0..<(images.count - 1) {
      #expect(abs(images[q + 1] - images[q] - step) < 1e-4 * abs(images[0]))
    }
  }

  @Test func ternaryAndBinaryCodes() throws {
    let ternary = try table("ternary")
    #expect(ternary[0] == 0 && ternary[1] == 1 && ternary[2].isNaN && ternary[3] == -1)
    #expect(try table("binary") == [-1, 1])
    let w = Tensor([0.4, -0.6, 0.1, -2, 0, 0.6], shape: [1, 6])
    let grid = GridTable(
      scales: Tensor([1], shape: [1, 1]), zeros: Tensor([0], shape: [1, 1]), low: -1, high: 1,
      levels: TernaryFormat().levels, unit: 1)
    let codes = try grid.quantize(w, format: TernaryFormat()).codes
    #expect(codes.withBytes { Array($0) } == [0, 3, 0, 3, 0, 1])
  }

  @Test(
    arguments: [
      "ulog7", "ulog1", "log9", "twin-log2", "twin-log4-0", "twin-log4-", "tan9", "tan4-1",
      "tan4h", "log4-1", "ternary2", "twin-log4-99999999999999999999999999999999999999999",
    ])
  func otherWordsAreNoFormats(_ word: String) { #expect(NumberFormats.named(word) == nil) }
}
