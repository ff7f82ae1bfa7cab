import Foundation
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Range searches against brute force in double precision.
@Suite struct RangeSearchTests {
  private func grid(_ search: any RangeSearch, _ runs: [[Float]], _ bits: Int, _ symmetric: Bool)
    -> ScaledGrid
  {
    guard let format = try? IntegerFormat(bits: bits) else { preconditionFailure("\(bits) bits") }
    return grid(search, runs, GridFamily(format, symmetric: symmetric))
  }

  private func grid(
    _ search: any RangeSearch, _ runs: [[Float]], _ family: GridFamily
  ) -> ScaledGrid {
    let copies = runs.map { run in
      let copy = UnsafeMutableBufferPointer<Float>.allocate(capacity: run.count)
      _ = copy.initialize(from: run)
      return copy
    }
    defer { copies.forEach { $0.deallocate() } }
    return search.grid(for: copies.map { UnsafeBufferPointer($0) }, in: family)
  }

  @Test(arguments: RangeRule.allCases) func wordsStandForSearches(_ rule: RangeRule) {
    switch rule {
    case .minMax: #expect(rule.search is MinMaxRange && rule.rawValue == "min-max")
    case .minMSE: #expect(rule.search is MinMSERange && rule.rawValue == "min-mse")
    case .percentile: #expect(rule.search is PercentileRange && rule.rawValue == "percentile")
    case .absMean: #expect(rule.search is MeanMagnitudeRange && rule.rawValue == "absmean")
    case .twn: #expect(rule.search is TernaryThresholdRange && rule.rawValue == "twn")
    }
  }

  @Test(arguments: 2...8, [true, false]) func minMaxCoversAllRuns(bits: Int, symmetric: Bool) {
    let x = weights([3, 40], 1).values
    let whole = ScaledGrid(
      covering: x.min() ?? 0, x.max() ?? 0, bits: bits, symmetric: symmetric)
    #expect(grid(MinMaxRange(), [x], bits, symmetric) == whole)
    let runs = [Array(x[..<7]), Array(x[7..<90]), [], Array(x[90...])]
    #expect(grid(MinMaxRange(), runs, bits, symmetric) == whole)
  }

  /// The chosen fraction's error is the least of all, up to single precision of the errors.
  @Test(arguments: 2...8, [true, false]) func minMSEIsTheBestFraction(bits: Int, symmetric: Bool) {
    for seed in UInt64(1)...4 {
      let x = weights([1, 64], seed).values
      let chosen = grid(MinMSERange(), [x], bits, symmetric)
      let candidates = stride(from: 100, through: 1, by: -1).map { i in
        let fraction = Float(i) / 100
        return ScaledGrid(
          covering: (x.min() ?? 0) * fraction, (x.max() ?? 0) * fraction, bits: bits,
          symmetric: symmetric)
      }
      func error(_ grid: ScaledGrid) -> Double {
        x.reduce(0) { $0 + pow(abs(Double($1) - roundTrip($1, grid)), Double(Float(2.4))) }
      }
      let least = candidates.map(error).min() ?? 0
      #expect(candidates.contains(chosen))
      #expect(error(chosen) <= least * (1 + 1e-5), "seed \(seed)")
    }
  }

  @Test(arguments: ["fp4", "e3m0", "e2m3", "fp8", "e5m2", "nf4"])
  func rangesOfLevelsAreSearchedAsThoseOfIntegers(word: String) throws {
    let format = try #require(NumberFormats.named(word))
    let levels = try #require(format.levels)
    let x = weights([1, 64], 3).values
    let largest = x.map(abs).max() ?? 0
    let whole = grid(MinMaxRange(), [x], GridFamily(format, symmetric: true))
    #expect(whole.scale == largest / levels.high && whole.levels == levels)
    func error(_ scale: Float) -> Double {
      x.reduce(0) {
        let distance = Double($1) - Double(levels.nearest(to: $1 / scale).value * scale)
        return $0 + pow(abs(distance), Double(Float(2.4)))
      }
    }
    let chosen = grid(MinMSERange(), [x], GridFamily(format, symmetric: true))
    let least = (1...100).map { error(largest * (Float($0) / 100) / levels.high) }.min() ?? 0
    #expect(error(chosen.scale) <= least * (1 + 1e-4))
  }

  @Test func ofEqualErrorsTheLargerRangeWins() {
    // All on the grid: −8·¼...7·¼ and no smaller range holds both ends.
    let x = (-8...7).map { Float($0) * 0.25 }
    let whole = ScaledGrid(covering: -2, 1.75, bits: 4, symmetric: false)
    #expect(grid(MinMSERange(), [x], 4, false) == whole)
    #expect(grid(MinMSERange(), [[0, 0]], 4, true) == ScaledGrid(scale: 1, low: -8, high: 7))
  }

  /// Errors that are known to be too large are not computed to their end; the choice is that of all errors.
  @Test(arguments: [1, 16, 100, 300, 5000, 40_000, 140_000])
  func theSearchIsThatOfAllErrors(count: Int) throws {
    let formats = ["int2", "int4", "int8", "fp8", "fp4", "nf4"].compactMap(NumberFormats.named)
    for (seed, format) in formats.enumerated() {
      for symmetric in [true, false] where symmetric || format is IntegerFormat {
        let x = weights([1, count], UInt64(seed) + 7).values
        let family = GridFamily(format, symmetric: symmetric)
        var best: (error: Double, grid: ScaledGrid)?
        for i in stride(from: 100, through: 1, by: -1) {
          let fraction = Float(i) / 100
          let grid = family.covering((x.min() ?? 0) * fraction, (x.max() ?? 0) * fraction)
          let error = stride(from: 0, to: count, by: 1 << 14).reduce(0.0) { sum, start in
            x[start..<min(count, start + 1 << 14)].withUnsafeBufferPointer {
              sum + Double(Kernels.roundTripError($0, grid, power: 2.4))
            }
          }
          if error < best?.error ?? .infinity { best = (error, grid) }
        }
        #expect(grid(MinMSERange(), [x], family) == best?.grid, "\(format.name)")
      }
    }
  }

  @Test func severalRunsAreOneSet() {
    let x = weights([1, 40_000], 5).values
    let whole = grid(MinMSERange(), [x], 3, true)
    let pieces = grid(MinMSERange(), [Array(x[..<16384]), Array(x[16384...])], 3, true)
    #expect(pieces == whole)
  }

  @Test(arguments: RangeRule.allCases, [true, false])
  func numbersThatAreNotFiniteLeaveNoRange(rule: RangeRule, symmetric: Bool) {
    let none = ScaledGrid(scale: 1, low: -8, high: 7)
    for bad in [Float.nan, .infinity, -.infinity] {
      #expect(grid(rule.search, [[1, bad, 2]], 4, symmetric) == none)
      #expect(grid(rule.search, [[1, 2], [bad]], 4, symmetric) == none)
      #expect(grid(rule.search, [[bad], [1, 2]], 4, symmetric) == none)
    }
    #expect(grid(rule.search, [], 4, symmetric) == none)
  }

  // MARK: - Statistics

  /// Σ (w − s·sign w)² is least at s = mean |w|; the same by search over all scales.
  @Test func meanMagnitudeIsTheBestBinaryScale() {
    let x = weights([1, 501], 8).values
    let family = GridFamily(BinaryFormat(), symmetric: true)
    let found = grid(MeanMagnitudeRange(), [Array(x[..<100]), Array(x[100...])], family)
    let mean = x.reduce(0) { $0 + Double(abs($1)) } / 501
    #expect(abs(Double(found.scale) / mean - 1) < 1e-6)
    func error(_ scale: Double) -> Double {
      x.reduce(0.0) { sum, w in
        let difference = Double(abs(w)) - scale
        return sum + difference * difference
      }
    }
    #expect((1...200).allSatisfy { error(mean) <= error(mean * Double($0) / 100) * (1 + 1e-12) })
  }

  /// By the definition, on numbers that leave no doubt.
  @Test func ternaryScaleIsTheMeanAboveTheThreshold() {
    let family = GridFamily(TernaryFormat(), symmetric: true)
    // mean |w| = 2, Δ = 1.4.
    let found = grid(TernaryThresholdRange(), [[4, -2, 1, -1], [3, 1]], family)
    #expect(found.scale == 3 && found.low == -1 && found.high == 1)
    #expect(grid(TernaryThresholdRange(), [[0, 0]], family).scale == 1)
    // Near the least squared error over all scales on normal numbers.
    let x = weights([1, 5000], 9).values
    func error(_ scale: Float) -> Double {
      x.reduce(0.0) { sum, w in
        let difference = Double(abs(w) - (abs(w) >= scale / 2 ? scale : 0))
        return sum + difference * difference
      }
    }
    let scale = grid(TernaryThresholdRange(), [x], family).scale
    let best = (1...400).map { error(scale * Float($0) / 200) }.min() ?? 0
    #expect(error(scale) < 1.02 * best)
  }

  @Test func percentilesLeaveOutTheOutermost() {
    var x: [Float] = []
    for i in 0...1000 {
      let magnitude = Float(i * 389 % 1001)
      x.append(i % 2 == 0 ? magnitude : -magnitude)
    }
    let symmetric = grid(PercentileRange(), [x], 4, true)
    #expect(symmetric == ScaledGrid(covering: -999, 999, bits: 4, symmetric: true))
    let positive = x.map { abs($0) }
    let found = grid(PercentileRange(), [positive], 4, false)
    #expect(found == ScaledGrid(covering: 0.5, 999.5, bits: 4, symmetric: false))
  }

  // MARK: - Grids of a matrix

  @Test(
    arguments: RangeRule.allCases, [Granularity.tensor, .channel, .token, .group(4), .group(12)])
  func gridsAreTheSearchOfTheirElements(rule: RangeRule, granularity: Granularity) throws {
    let (rows, columns) = (5, 12)
    let w = weights([rows, columns], 6)
    let values = w.values
    for symmetric in [true, false] {
      let scheme = WeightScheme(
        format: try IntegerFormat(bits: 3), granularity: granularity, symmetric: symmetric,
        range: rule)
      let table = try scheme.grids(for: w)
      let shape = try granularity.tableShape(rows: rows, columns: columns)
      #expect(table.scales.shape == [shape.rows, shape.columns])
      #expect(table.low == -4 && table.high == 3)
      let (height, width) = (rows / shape.rows, columns / shape.columns)
      for i in 0..<shape.rows {
        for j in 0..<shape.columns {
          let tile: [Float] = (i * height..<(i + 1) * height).flatMap { row -> ArraySlice<Float> in
            let start = row * columns + j * width
            return values[start..<start + width]
          }
          #expect(table.grid(row: i, group: j) == grid(rule.search, [tile], 3, symmetric))
        }
      }
    }
  }

  @Test func gridsDoNotDependOnThreads() throws {
    let w = weights([30, 1000], 7)
    let before = Parallelism.threads
    defer { Parallelism.threads = before }
    for granularity in [Granularity.tensor, .channel, .group(50)] {
      let scheme = WeightScheme(format: try IntegerFormat(bits: 4), granularity: granularity)
      let scales = try [1, 2, 3].map { threads in
        Parallelism.threads = threads
        return try scheme.grids(for: w).scales.values
      }
      #expect(scales[1] == scales[0] && scales[2] == scales[0])
    }
  }

  @Test func matricesThatCannotBeDivided() throws {
    func message(_ granularity: Granularity, _ shape: [Int]) throws -> String? {
      let scheme = WeightScheme(format: try IntegerFormat(bits: 4), granularity: granularity)
      let error = #expect(throws: SchemeError.self) {
        try scheme.grids(for: Tensor(repeating: 1, shape: shape))
      }
      return error?.description
    }
    #expect(
      try message(.group(5), [2, 12])
        == "groups of 5 do not divide rows of 12 elements; use a divisor of 12, "
        + "or granularity: channel")
    #expect(try message(.group(0), [2, 12])?.hasPrefix("groups of 0 do not divide") == true)
    #expect(try message(.group(-4), [2, 12])?.hasPrefix("groups of -4 do not divide") == true)
    #expect(
      try message(.block(rows: 2, columns: 4), [4, 8])
        == "weights take no block granularity")
    #expect(
      try message(.block(rows: 3, columns: 4), [4, 8])
        == "blocks of 3 × 4 do not divide a [4, 8] matrix")
    for granularity in [Granularity.tensor, .channel, .group(4)] {
      for shape in [[0, 4], [4, 0]] {
        #expect(
          try message(granularity, shape) == "a \(shape) matrix has no elements to quantize")
      }
    }
  }
}
