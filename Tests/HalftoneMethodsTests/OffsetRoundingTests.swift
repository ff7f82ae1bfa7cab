import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// SignRound and AdaQuant: golden values (Scripts/golden/offset_rounding.py) and what their equations
/// say.
@Suite struct OffsetRoundingTests {
  static let cases = [
    "w3-channel-asymmetric", "w3-group-symmetric", "w3-tensor-symmetric", "w4-channel-symmetric",
    "w4-tensor-asymmetric",
  ]
  let layer = CorrelatedLayer(seed: 3)

  @Test(arguments: cases) func signRoundIsTheReference(_ name: String) throws {
    let weights = try GoldenFile("layer.safetensors").floats("weight")
    let golden = try GoldenFile("SignRound/\(name).safetensors")
    let parts = try GoldenMethodTests.Case(name)
    let grid = try parts.grid(golden, steps: try golden.floats("scales"))
    let symmetric = parts.scheme.symmetric
    let keys = ["v", "upper"] + (symmetric ? [] : ["lower"])
    let leaves = try keys.map { try golden.floats($0).tracked() }
    let lower = symmetric ? nil : leaves[2]
    let result = weights.signRounded(grid, v: leaves[0], lower: lower, upper: leaves[1])
    expectClose(result, try golden.floats("dequantized"), tolerance: 1e-6)
    let narrowed = grid.narrowed(lower: lower, upper: leaves[1])
    expectClose(narrowed.scales, try golden.floats("narrowed_scales"), tolerance: 1e-6)
    let zeros = narrowed.zeros.values.map { Int($0) + parts.offset }
    #expect(try zeros == golden.integers("narrowed_zero_points"))
    let codes = try narrowed.quantize(result.detached, format: parts.scheme.format).codeValues
    #expect(try codes.map { Int($0) + parts.offset } == golden.integers("codes"))
    let gradients = (result * (try golden.floats("gradient"))).sum().gradients(of: leaves)
    for (key, gradient) in zip(keys, gradients) {
      expectClose(gradient.values, try golden.floats("d\(key)").values, tolerance: 1e-5)
    }
  }

  @Test(arguments: cases) func adaQuantIsTheReference(_ name: String) throws {
    let weights = try GoldenFile("layer.safetensors").floats("weight")
    let golden = try GoldenFile("AdaQuant/\(name).safetensors")
    let parts = try GoldenMethodTests.Case(name)
    let grid = try parts.grid(golden, steps: try golden.floats("scales"))
    let leaves = [try golden.floats("log_step").tracked(), try golden.floats("v").tracked()]
    let result = weights.perturbedRounded(grid, logStep: leaves[0], v: leaves[1])
    expectClose(result, try golden.floats("dequantized"), tolerance: 1e-6)
    let current = grid.scaled(byExponentialOf: leaves[0])
    let codes = try current.quantize(result.detached, format: parts.scheme.format).codeValues
    #expect(try codes.map { Int($0) + parts.offset } == golden.integers("codes"))
    let gradients = (result * (try golden.floats("gradient"))).sum().gradients(of: leaves)
    expectClose(gradients[0].values, try golden.floats("dlog_step").values, tolerance: 1e-5)
    expectClose(gradients[1].values, try golden.floats("dv").values, tolerance: 1e-5)
  }

  @Test(arguments: [Granularity.tensor, .channel, .group(16)], [true, false])
  func bothStartAtRoundToNearest(_ granularity: Granularity, symmetric: Bool) throws {
    for bits in 2...8 {
      let scheme = try scheme(bits: bits, granularity, symmetric: symmetric)
      let rounded = try RoundToNearest.quantize(layer.weights, scheme)
      for method in [SignRound(), AdaQuant()] as [any LearnableRounding] {
        let start = try method.variables(for: layer.weights, scheme)
        #expect(start.weights().values == rounded.dequantized().values)
        #expect(try start.quantized().codeValues == rounded.codeValues)
        #expect(try start.quantized().levels[0].values == rounded.levels[0].values)
        #expect(try start.quantized().zeroPoints?.values == rounded.zeroPoints?.values)
      }
    }
  }

  /// All steps together make ½, and the bounds hold at any rate.
  @Test(arguments: [0, 0.3] as [Float]) func signRoundStaysWithinItsBounds(_ rate: Float) throws {
    let scheme = try scheme(bits: 3, symmetric: false)
    var method = SignRound()
    (method.iterations, method.learningRate, method.keepBest) = (60, rate, false)
    let problem = layer.problem(LayerScheme(weights: scheme))
    let result = try method.reconstruction(of: problem).train(problem, with: method)
    let leaves = try #require(result.leaves["layer"])
    #expect(leaves.count == 3)
    let offsets = leaves[0].values.map { abs($0) }
    #expect(offsets.allSatisfy { $0 <= 0.5 } && offsets.contains { $0 > 0.2 })
    for factors in leaves.dropFirst() {
      let least: Float = rate == 0 ? 0.4 : method.leastRange
      #expect(factors.values.allSatisfy { (least...1).contains($0) })
      #expect(factors.values.contains { $0 < 1 })
    }
  }

  /// An offset of at most half a step leaves each weight on one of its two neighbours.
  @Test func signRoundMovesCodesByAtMostOne() throws {
    let scheme = try scheme(bits: 4)
    var method = SignRound()
    method.mostRange = 1.5
    let learned = try layer.solution(method, scheme)
    let grid = try #require(learned.gridTable)
    let nearest = try grid.quantize(layer.weights, format: scheme.format).codeValues
    let moves = zip(learned.codeValues, nearest).map { abs(Int($0) - Int($1)) }
    #expect(moves.allSatisfy { $0 <= 1 } && moves.contains(1))
  }

  @Test func adaQuantTrainsLayerByLayerAndMovesCodesFurther() throws {
    let scheme = try scheme(bits: 4, .tensor)
    var method = AdaQuant()
    #expect(method.unit == .layer)
    method.iterations = 400
    method.learningRate = 0.02
    let learned = try layer.solution(method, scheme)
    let grid = try #require(learned.gridTable)
    let nearest = try grid.quantize(layer.weights, format: scheme.format).codeValues
    let moves = zip(learned.codeValues, nearest).map { abs(Int($0) - Int($1)) }
    #expect(moves.contains { $0 >= 2 })
  }

  @Test func hyperparametersThatCannotBeAreRefused() throws {
    let scheme = LayerScheme(weights: try scheme(bits: 4))
    func refused(_ method: some QuantizationMethod, _ word: String) {
      let error = #expect(throws: SchemeError.self) {
        try method.validate(scheme, rows: 8, columns: 16)
      }
      #expect(error.map { "\($0)".contains(word) } == true)
    }
    try SignRound().validate(scheme, rows: 8, columns: 16)
    var sign = SignRound()
    sign.leastRange = 0
    refused(sign, "least-range")
    sign = SignRound()
    sign.learningRate = -1
    refused(sign, "learning-rate")
    sign = SignRound()
    sign.rangeLearningRate = .nan
    refused(sign, "range-learning-rate")
    var adaQuant = AdaQuant()
    adaQuant.stepLearningRate = -1
    refused(adaQuant, "step-learning-rate")
    adaQuant = AdaQuant()
    adaQuant.lastBlock = .logits
    refused(adaQuant, "unit: block")
  }
}
