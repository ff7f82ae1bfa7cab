import Foundation
import HalftoneLayers
import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Dual Grained Quantization: scales by outputs, smoothing by percentile.
@Suite struct DualGrainedTests {
  private let layer = CorrelatedLayer(rows: 24, columns: 64, seed: 12)

  private func scheme(
    _ scales: ScaleFormat, group: Int = 16, symmetric: Bool = false
  ) -> WeightScheme {
    WeightScheme(
      format: IntegerFormat.int4, granularity: .group(group), symmetric: symmetric, scales: scales)
  }

  private func solution(_ scheme: WeightScheme) throws -> QuantizedTensor {
    try DualGrained().solve(layer.layerProblem(scheme)).weight
  }

  /// The ranges of the first phase by the outputs themselves: mean over tokens of (x_g·(w − ŵ))².
  @Test(arguments: [true, false]) func groupsTakeTheRangeOfLeastOutputError(symmetric: Bool) throws
  {
    let scheme = scheme(.float, symmetric: symmetric)
    let found = try solution(scheme)
    let (w, x) = (layer.weights.values, layer.inputs)
    let family = scheme.family(for: layer.weights)
    for (row, group) in [(0, 0), (3, 1), (11, 3), (23, 2)] {
      let run = Array(w[row * 64 + group * 16..<row * 64 + group * 16 + 16])
      let inputs = x.values
      func error(_ grid: ScaledGrid) -> Double {
        let d = run.map { w -> Double in
          let code = (w / grid.scale).rounded(.toNearestOrEven) + grid.zero
          return Double(w) - Double((min(max(code, grid.low), grid.high) - grid.zero) * grid.scale)
        }
        return (0..<x.rows).reduce(0) { sum, t in
          let y = (0..<16).reduce(0.0) { $0 + d[$1] * Double(inputs[t * 64 + group * 16 + $1]) }
          return sum + y * y
        }
      }
      let (low, high) = (run.min() ?? 0, run.max() ?? 0)
      let own = try scheme.grids(for: layer.weights).grid(row: row, group: group)
      let candidates =
        [own]
        + (1...20).map { i in
          let r = 1.02 - 0.22 * Float(i) / 20
          return family.covering(low * r, high * r)
        }
      let best = candidates.map(error).min() ?? 0
      let chosen = try #require(found.gridTable).grid(row: row, group: group)
      #expect(error(chosen) <= best * (1 + 1e-6))
    }
  }

  /// Floats a group ≲ whole multiples ≪ one scale a row, all by weights; outputs decide better than weights.
  @Test func errorsAreInTheOrderOfThePaper() throws {
    var (floats, dual, byWeights, perRow) = (Float(0), Float(0), Float(0), Float(0))
    for seed in 12..<20 as Range<UInt64> {
      let layer = CorrelatedLayer(rows: 24, columns: 64, seed: seed)
      func error(_ weight: QuantizedTensor) -> Float { layer.outputError(of: weight.dequantized()) }
      func solved(_ scheme: WeightScheme) throws -> Float {
        try error(DualGrained().solve(layer.layerProblem(scheme)).weight)
      }
      floats += try error(RoundToNearest.quantize(layer.weights, scheme(.float)))
      dual += try solved(scheme(.rowIntegers))
      byWeights += try error(RoundToNearest.quantize(layer.weights, scheme(.rowIntegers)))
      var rows = scheme(.float)
      rows.granularity = .channel
      perRow += try error(RoundToNearest.quantize(layer.weights, rows))
    }
    let found = "\(floats), \(dual), \(byWeights), \(perRow)"
    #expect(floats <= 1.05 * byWeights, "\(found)")
    #expect(dual < byWeights, "\(found)")
    #expect(dual < 0.8 * perRow, "\(found)")
  }

  /// k·(q − z) fits a byte, and a product of bytes with 32-bit sums is that of the dequantized weights.
  @Test(arguments: [true, false]) func bytesGiveTheSameProduct(symmetric: Bool) throws {
    let weight = try solution(scheme(.rowIntegers, symmetric: symmetric))
    let (multiples, units) = (weight.levels[0].values, weight.levels[1].values)
    let (codes, zeros) = (weight.codeValues, weight.zeroPoints?.values)
    let bytes = codes.indices.map { at -> Int32 in
      let cell = at / 16
      return Int32(multiples[cell]) * (Int32(codes[at]) - Int32(zeros?[cell] ?? 0))
    }
    #expect(bytes.allSatisfy { abs($0) <= 127 } && bytes.contains { abs($0) > 90 })
    #expect(multiples.allSatisfy { $0 >= 1 && $0 == $0.rounded() })
    var generator = SeededGenerator(seed: 3)
    let x = (0..<64).map { _ in Int32(generator.below(255)) - 127 }
    let dense = weight.dequantized().values
    for row in 0..<24 {
      let sum = (0..<64).reduce(Int32(0)) { $0 + bytes[row * 64 + $1] * x[$1] }
      let exact = (0..<64).reduce(0.0) { $0 + Double(dense[row * 64 + $1]) * Double(x[$1]) }
      #expect(abs(Double(sum) * Double(units[row]) - exact) < 1e-5 * (1 + abs(exact)))
    }
  }

  @Test func rowsOfZerosAndOtherScales() throws {
    var values = layer.weights.values
    for i in 64..<128 { values[i] = 0 }
    for i in 0..<16 { values[i] = 0 }
    let zeroed = CorrelatedLayer(weights: Tensor(values, shape: [24, 64]), inputsOf: layer)
    let weight = try DualGrained().solve(zeroed.layerProblem(scheme(.rowIntegers))).weight
    let dense = weight.dequantized().values
    #expect(dense[64..<128].allSatisfy { $0 == 0 } && dense[0..<16].allSatisfy { $0 == 0 })
    #expect(weight.levels.allSatisfy { $0.values.allSatisfy { $0.isNormal && $0 > 0 } })
    #expect(throws: SchemeError.self) {
      try DualGrained().validate(LayerScheme(weights: scheme(.nested)), rows: 24, columns: 64)
    }
    #expect(throws: SchemeError.self) {
      try DualGrained().validate(
        LayerScheme(weights: scheme(.rowIntegers, group: 64)), rows: 24, columns: 64)
    }
  }

  /// n = ⌊0.005·C + 1.5⌋: the second largest of 288 channels, the fifth of 768; σ = max(1, a/b).
  @Test(arguments: [(100, 2), (288, 2), (768, 5), (64, 1)]) func thePivotIsThePercentile(
    channels: Int, rank: Int
  ) throws {
    let site = ScalingSite(
      producer: .norm("n"), consumers: ["c"], sources: Array(0..<channels))
    var maxima = (0..<channels).map { Float(1 + $0 % 7) / 10 }
    for i in 0..<6 { maxima[3 + 8 * i] = Float(100 - 10 * i) }
    let factors = PercentileSmoothing().factors(at: site, maxima)
    let pivot = Float(100 - 10 * (rank - 1))
    guard rank > 1 else { return #expect(factors == nil) }
    for (factor, maximum) in zip(try #require(factors), maxima) {
      #expect(factor == max(1, maximum / pivot))
    }
    #expect(
      PercentileSmoothing().factors(at: site, [Float](repeating: 0, count: channels)) == nil)
  }

  /// One channel made large by a norm is brought down to the next, and the function stays.
  @Test func injectedChannelsAreBroughtDown() throws {
    let network = try SmallNetwork()
    var problem = try network.problem(0, carried: [:])
    let site = try #require(problem.block.scalingSites.first)
    let plain = problem.block
    var gains = [Float](repeating: 1, count: site.channels)
    gains[7] = 1 / 64
    problem.block.rescale(site, by: gains)
    for name in problem.schemes.keys {
      problem.schemes[name]?.inputs = InputScheme(
        format: try IntegerFormat(bits: 8), granularity: .tensor, symmetric: true, dynamic: false)
    }
    var method = PercentileSmoothing()
    // The second largest of so few channels.
    method.share = 1 / Float(site.channels)
    let treated = try method.transform(problem)
    let (x, context) = (problem.original.samples(0..<1), problem.makeContext(1))
    expectClose(treated.block(x, context), plain(x, context), tolerance: 1e-4)
    func largest(_ block: any TransformerBlock) -> Float {
      var largest: Float = 0
      var context = problem.makeContext(1)
      context.observe = { name, input in
        guard name == site.consumers[0] else { return }
        largest = input.values.reduce(largest) { max($0, abs($1)) }
      }
      for i in problem.training { _ = block(problem.original.samples(i..<i + 1), context) }
      return largest
    }
    #expect(largest(problem.block) > 8 * largest(treated.block))
    #expect(treated.parameters.keys.contains { $0.hasSuffix("input_layernorm.weight") })
  }
}
