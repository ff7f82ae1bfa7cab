import Foundation
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

@Suite struct OutlierVictimTests {
  private func quantized(_ values: [Float], columns: Int, flint: Bool = false) throws
    -> QuantizedTensor
  {
    let w = Tensor(values, shape: [values.count / columns, columns])
    let scheme = WeightScheme(format: OutlierVictimFormat(flint: flint), granularity: .tensor)
    return try scheme.grids(for: w).quantize(w, format: scheme.format)
  }

  /// In units of the normal values, as the paper's tables have them.
  @Test func valuesAreNormalOnesAndAbfloats() {
    for (flint, normal, outliers) in [
      (false, [0, 1, 2, 3, 4, 5, 6, 7], [12, 16, 24, 32, 48, 64, 96]),
      (true, [0, 1, 2, 3, 4, 6, 8, 16], [24, 32, 48, 64, 96, 128, 192]),
    ] as [(Bool, [Float], [Float])] {
      guard case .table(let table) = OutlierVictimFormat(flint: flint).values else { return }
      #expect(table.count == 32)
      let finite = table.filter(\.isFinite)
      #expect(Set(finite) == Set((normal + outliers).flatMap { [$0, -$0] }))
      #expect(table[8].isNaN && table[16].isNaN && table[24].isNaN)
      #expect(Array(table[17..<24]) == outliers)
    }
  }

  /// 1 an outlier in the even place, 2 in the odd one, 3 in both.
  @Test func outliersTakeTheirNeighboursPlace() throws {
    let grid = GridTable(
      scales: Tensor([1], shape: [1, 1]), zeros: Tensor([0], shape: [1, 1]), low: -96, high: 96,
      levels: OutlierVictimFormat().levels, unit: 1)
    let w = Tensor([30, 3, 5, -100, 20, -50, 1, 2, 70], shape: [1, 9])
    let result = try grid.quantize(w, format: OutlierVictimFormat())
    #expect(result.dequantized().values == [32, 0, 0, -96, 16, 0, 1, 2, 7])
    // The ninth has no neighbour, so that its four bits could not say what it is.
  }

  @Test func storedCodesHaveFourBitsAndComeBack() throws {
    var generator = SeededGenerator(seed: 5)
    for flint in [false, true] {
      let values = (0..<4000).map { i in generator.normal() * (i % 37 == 0 ? 20 : 1) }
      let result = try quantized(values, columns: 40, flint: flint)
      let format = result.format
      let stored = format.stored(result.codes)
      #expect(stored.withBytes { $0.allSatisfy { $0 < 16 } })
      #expect(format.loaded(stored).withBytes { Array($0) } == result.codes.withBytes { Array($0) })
      let identifiers = stored.withBytes { $0.count { $0 == 8 } }
      let outliers = result.codes.withBytes { $0.count { $0 >= 16 } }
      #expect(identifiers == outliers && outliers > 40)
    }
  }

  /// Pairs that no writer makes stand for NaN, which readers refuse.
  @Test func impossiblePairsStandForNoNumber() {
    let codes = Tensor(shape: [1, 6], elementType: .int8) { out in
      for (i, code) in [8, 8, 8, 0, 0, 8].enumerated() { out[i] = UInt8(code) }
    }
    guard case .table(let table) = OutlierVictimFormat().values else { return }
    let values = OutlierVictimFormat().loaded(codes).withBytes { $0.map { table[Int($0)] } }
    #expect(values.enumerated().filter { $1.isNaN }.map(\.offset) == [1, 3, 4])
  }

  /// Signal to noise on normal numbers of which a share is 15 times as large, from a numpy program that
  /// follows the authors' code.
  @Test(
    arguments: [
      (0, 18.8, 18.2), (0.001, 18.9, 18.5), (0.005, 18.1, 18.7), (0.01, 17.3, 18.4),
      (0.03, 15.9, 17.1),
    ]) func signalToNoiseIsThatOfTheAuthorsCode(_ row: (Double, Double, Double)) throws
  {
    var generator = SeededGenerator(seed: 11)
    let values = (0..<40_000).map { _ -> Float in
      let x = generator.normal()
      return Double(generator.uniform()) < row.0 ? 15 * x : x
    }
    for (flint, expected) in [(false, row.1), (true, row.2)] {
      let rounded = try quantized(values, columns: 200, flint: flint).dequantized().values
      var (signal, noise) = (0.0, 0.0)
      for (x, y) in zip(values, rounded) {
        signal += Double(x) * Double(x)
        noise += Double(x - y) * Double(x - y)
      }
      let decibels = 10 * log10(signal / noise)
      #expect(abs(decibels - expected) < 0.5, "\(decibels) dB, expected \(expected)")
    }
  }

  /// What Documentation/NumberFormats.md says of these formats, each with one scale for all.
  @Test(arguments: [("olive4", 17.2), ("olive4-flint", 18.2), ("int4", 6.2), ("fp4", 8.5)])
  func signalToNoiseIsAsDocumented(_ word: String, decibels: Double) throws {
    var generator = SeededGenerator(seed: 11)
    let values = (0..<200_000).map { _ -> Float in
      let x = generator.normal()
      return generator.uniform() < 0.01 ? 15 * x : x
    }
    let w = Tensor(values, shape: [1000, 200])
    let scheme = WeightScheme(
      format: try #require(NumberFormats.named(word)), granularity: .tensor)
    let rounded = try scheme.grids(for: w).quantize(w, format: scheme.format).dequantized()
    let found = signalToNoise(values, rounded.values)
    #expect(abs(found - decibels) < 0.1, "\(found) dB")
  }

  /// Searched on several threads; the choice does not depend on how many.
  @Test func rangesDoNotDependOnThreads() throws {
    let before = Parallelism.threads
    defer { Parallelism.threads = before }
    let w = weights([64, 200], 3)
    let scheme = WeightScheme(format: OutlierVictimFormat(), granularity: .tensor)
    let scales = try [1, 2, 3].map { threads in
      Parallelism.threads = threads
      return try scheme.grids(for: w).scales.values
    }
    #expect(Set(scales).count == 1)
  }

  @Test func rangesThatAreNoneLeaveOne() throws {
    #expect(try quantized([0, 0, 0, 0], columns: 4).dequantized().values == [0, 0, 0, 0])
    let bad = try quantized([1, .nan, 0, 0], columns: 4)
    #expect(bad.levels[0].values == [1])
  }
}
