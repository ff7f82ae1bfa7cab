import Foundation
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Scales of groups that are simple multiples of a float for each row.
@Suite struct RowScalesTests {
  private func scheme(
    _ word: String, _ scales: ScaleFormat, symmetric: Bool = true, range: RangeRule = .minMax
  ) throws -> WeightScheme {
    WeightScheme(
      format: try #require(NumberFormats.named(word)), granularity: .group(8),
      symmetric: symmetric, range: range, scales: scales)
  }

  /// Rows whose groups differ by powers of ten, one of zeros.
  private func weights() -> Tensor {
    var generator = SeededGenerator(seed: 2)
    var values: [Float] = []
    for i in 0..<6 * 64 {
      let isZero = i / 64 == 5 || (i % 64 < 8 && i / 64 == 3)
      let size: Float = pow(10, Float(i / 8 % 5) / 2)
      values.append(isZero ? 0 : generator.normal() * size)
    }
    return Tensor(values, shape: [6, 64])
  }

  @Test(arguments: ["e2m1", "int4", "e2m3"], [RangeRule.minMax, .minMSE])
  func powersOfTwoClampNothingMore(_ word: String, range: RangeRule) throws {
    let w = weights()
    let plain = try scheme(word, .float, range: range).grids(for: w).scales.values
    let table = try scheme(word, .rowPowers, range: range).grids(for: w)
    let units = try #require(table.rowUnits).values
    for (at, scale) in table.scales.values.enumerated() {
      let row = at / 8
      let isZero = row == 5 || at == 24
      guard !isZero else { continue }
      #expect(scale >= plain[at] && scale < 2 * plain[at])
      #expect((scale / units[row]).significand == 1 && scale <= units[row])
      let used = (row * 8..<row * 8 + 8).filter { $0 != 24 }
      #expect(units[row] == used.map { plain[$0] }.max())
    }
  }

  /// k·(q − z) fits a byte, and no other whole numbers on those units are nearer to the groups' own.
  @Test(arguments: ["int4", "int3"], [true, false])
  func wholeNumbersKeepProductsInBytes(_ word: String, symmetric: Bool) throws {
    let w = weights()
    let scheme = try scheme(word, .rowIntegers, symmetric: symmetric, range: .minMSE)
    let quantized = try scheme.grids(for: w).quantize(w, format: scheme.format)
    let (multiples, codes) = (quantized.levels[0].values, quantized.codes.withBytes { Array($0) })
    #expect(multiples.allSatisfy { $0 >= 1 && $0 <= 127 && $0 == $0.rounded() })
    for (at, code) in codes.enumerated() {
      let zero = quantized.zeroPoints?.values[at / 8] ?? 0
      #expect(abs(multiples[at / 8] * (Float(Int8(bitPattern: code)) - zero)) <= 127)
    }
    // Nearer than one scale a row. One a group is found by another power of the error, and may be a little
    // farther in squares.
    func error(_ scheme: WeightScheme) throws -> Double {
      let rounded = try scheme.grids(for: w).quantize(w, format: scheme.format).dequantized().values
      return zip(w.values, rounded).reduce(0.0) { sum, pair in
        let difference = Double(pair.0 - pair.1)
        return sum + difference * difference
      }
    }
    var (rows, groups) = (scheme, scheme)
    (rows.scales, rows.granularity, groups.scales) = (.float, .channel, .float)
    #expect(try error(groups) <= 1.02 * error(scheme))
    #expect(try error(scheme) < 0.8 * error(rows))
  }

  @Test(arguments: [ScaleFormat.rowPowers, .rowIntegers])
  func levelsComeBackToTheSameGrids(_ scales: ScaleFormat) throws {
    let w = weights()
    let scheme = try scheme("int4", scales)
    let table = try scheme.grids(for: w)
    let quantized = try table.quantize(w, format: scheme.format)
    #expect(quantized.levels.map(\.shape) == [[6, 8], [6, 1]])
    let again = try #require(quantized.gridTable)
    #expect(again.scales.values == table.scales.values)
    #expect(again.levels().map(\.values) == quantized.levels.map(\.values))
  }

  @Test(arguments: [ScaleFormat.rowPowers, .rowIntegers])
  func theyNeedGroups(_ scales: ScaleFormat) throws {
    var scheme = try scheme("int4", scales)
    scheme.granularity = .channel
    let w = weights()
    #expect(throws: SchemeError.self) { try scheme.grids(for: w) }
  }
}
