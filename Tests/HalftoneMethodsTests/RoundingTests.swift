import HalftoneLayers
import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// What the equations say of each method, on a small layer.
@Suite struct RoundingTests {
  let layer = CorrelatedLayer(seed: 3)

  @Test(arguments: [Granularity.tensor, .channel, .group(16)], [true, false])
  func flexRoundStartsAtRoundToNearest(_ granularity: Granularity, symmetric: Bool) throws {
    for bits in 2...8 {
      let scheme = try scheme(bits: bits, granularity, symmetric: symmetric)
      let start = try FlexRound().variables(for: layer.weights, scheme)
      let rounded = try RoundToNearest.quantize(layer.weights, scheme)
      #expect(start.weights().values == rounded.dequantized().values)
      #expect(try start.quantized().codeValues == rounded.codeValues)
      #expect(try start.quantized().levels[0].values == rounded.levels[0].values)
    }
  }

  @Test func flexRoundNeverChangesASignAndFoldsIntoTheWeights() throws {
    let scheme = try scheme(bits: 4)
    var variables = try FlexRound().variables(for: layer.weights, scheme)
    var generator = SeededGenerator(seed: 1)
    variables.leaves = variables.leaves.map { leaf in
      (Tensor.normal(shape: leaf.shape, using: &generator) * 0.2).tracked()
    }
    let result = try variables.quantized()
    for (w, q) in zip(layer.weights.values, result.dequantized().values) { #expect(w * q >= 0) }
    // RTN(W / (S2·s3), s1) gives the same codes.
    guard let state = variables as? FlexRoundVariables else { return }
    let factors = state.v2.addingRow(Tensor(repeating: 0, shape: [48])).values.enumerated().map {
      Kernels.exp($1 + state.v3.values[$0 / 48])
    }
    let folded = Tensor(
      zip(layer.weights.values, factors).map { $0 / $1 }, shape: layer.weights.shape)
    let table = state.grid.scaled(byExponentialOf: state.logStep)
    let codes = try table.quantize(folded, format: scheme.format).codeValues
    let same = zip(codes, result.codeValues).count { $0 == $1 }
    // A quotient of rounded factors may fall on the other side of a tie.
    #expect(same >= codes.count - 1)
  }

  @Test func flexRoundMovesCodesByMoreThanOneAndAdaRoundDoesNot() throws {
    let scheme = try scheme(bits: 4, .tensor)
    var flexRound = FlexRound()
    flexRound.iterations = 400
    let learned = try layer.solution(flexRound, scheme)
    let final = try #require(learned.gridTable)
    let nearest = try final.quantize(layer.weights, format: scheme.format)
    let moves = zip(learned.codeValues, nearest.codeValues).map { abs(Int($0) - Int($1)) }
    #expect(moves.contains { $0 >= 2 })
    var adaRound = AdaRound()
    adaRound.iterations = 400
    let ups = try layer.solution(adaRound, scheme)
    let grid = try #require(ups.gridTable)
    for (code, w) in zip(ups.codeValues, layer.weights.values) {
      let floor = (w / grid.grid(row: 0, group: 0).scale).rounded(.down)
      #expect([floor, floor + 1].map { min(max($0, -8), 7) }.contains(Float(code)))
    }
  }

  @Test func adaRoundStartsAtTheWeights() throws {
    // Min-max clips at most half a step, 1/30 of the range, where the zero point is rounded.
    let scheme = try scheme(bits: 4, symmetric: false, range: .minMax)
    let soft = try AdaRound().variables(for: layer.weights, scheme).weights()
    expectClose(soft, layer.weights, tolerance: 4e-2)
    let differences = zip(soft.values, layer.weights.values).map { abs($0 - $1) }.sorted()
    #expect(differences[differences.count * 9 / 10] < 1e-5)
  }

  /// ∂Ŵ/∂V′ = d̄·h′(V), whatever the gap, and what finite differences give.
  @Test(arguments: ["e2m1", "e3m2", "nf4", "int4"])
  func scaleAwareVariablesHaveEvenGradients(_ word: String) throws {
    let scheme = WeightScheme(
      format: try #require(NumberFormats.named(word)), granularity: .group(16), range: .minMax)
    var method = AdaRound()
    let plain = try method.variables(for: layer.weights, scheme)
    method.scaleAware = true
    var variables = try method.variables(for: layer.weights, scheme)
    expectClose(variables.weights(), plain.weights(), tolerance: 1e-5)
    // Away from where h is cut off: the ends of the ranges begin there.
    variables.leaves = [(variables.leaves[0].detached * 0.9).tracked()]
    let leaf = variables.leaves[0]
    var generator = SeededGenerator(seed: 6)
    let slopes = Tensor.normal(shape: leaf.shape, using: &generator)
    let gradient = try #require(
      (variables.weights() * slopes).sum().gradients(of: [leaf]).first
    ).values
    let state = try #require(variables as? AdaRoundVariables)
    var means: [Float] = []
    for (i, v) in state.v.values.enumerated() {
      let sigmoid = 1 / (1 + Kernels.exp(-v))
      let slope = 1.2 * sigmoid * (1 - sigmoid) * slopes.values[i]
      if gradient[i] != 0, abs(slope) > 1e-3 { means.append(gradient[i] / slope) }
    }
    #expect(means.count > leaf.count / 2)
    let mean = means[0]
    #expect(means.allSatisfy { abs($0 / mean - 1) < 1e-3 })
    // In one random direction.
    let direction = Tensor.normal(shape: leaf.shape, using: &generator)
    func value(_ step: Float) -> Double {
      variables.leaves = [(leaf.detached + direction * step).tracked()]
      return zip(variables.weights().values, slopes.values).reduce(0) { $0 + Double($1.0 * $1.1) }
    }
    let expected = zip(gradient, direction.values).reduce(0.0) { $0 + Double($1.0 * $1.1) }
    let found = (value(1e-3) - value(-1e-3)) / 2e-3
    #expect(abs(found - expected) < 0.02 * abs(expected) + 0.02, "\(found), \(expected)")
  }

  /// On FP4, where gaps are of three sizes: no worse than plain AdaRound by more than a twentieth, and far
  /// better than rounding.
  @Test func scaleAwareRoundingServesFloats() throws {
    var (plain, aware, rounded) = (Float(0), Float(0), Float(0))
    for seed in 30..<34 as Range<UInt64> {
      let layer = CorrelatedLayer(seed: seed)
      let scheme = WeightScheme(format: FloatFormat.e2m1)
      var method = AdaRound()
      method.iterations = 300
      plain += layer.outputError(of: try layer.solution(method, scheme).dequantized())
      method.scaleAware = true
      aware += layer.outputError(of: try layer.solution(method, scheme).dequantized())
      rounded += layer.outputError(
        of: try RoundToNearest.quantize(layer.weights, scheme).dequantized())
    }
    #expect(aware <= 1.05 * plain && aware < 0.8 * rounded, "\(aware), \(plain), \(rounded)")
  }

  @Test func flexRoundAblationsFreezeWhatTheyName() throws {
    let scheme = try scheme(bits: 3)
    let start = try RoundToNearest.quantize(layer.weights, scheme)
    var method = FlexRound()
    method.iterations = 50
    method.learnGrid = false
    #expect(try layer.solution(method, scheme).levels[0].values == start.levels[0].values)
    #expect(try method.variables(for: layer.weights, scheme).leaves.count == 2)
    method.rowScale = false
    #expect(try method.variables(for: layer.weights, scheme).leaves.count == 1)
    method.learnGrid = true
    #expect(try layer.solution(method, scheme).levels[0].values != start.levels[0].values)
  }

  @Test func gptqWithADiagonalHessianIsRoundToNearest() throws {
    let scheme = try scheme(bits: 3)
    var hessian = SquareMatrix(zeros: 48)
    for i in 0..<48 { hessian[i, i] = Double(i + 1) }
    let solution = try GPTQ().solve(
      LayerProblem(name: "layer", weights: layer.weights, scheme: scheme, hessian: hessian))
    #expect(
      try solution.weight.codeValues == RoundToNearest.quantize(layer.weights, scheme).codeValues)
  }

  @Test func gptqRaisesTheDampingOfASingularHessianAndSaysSo() throws {
    var method = GPTQ()
    method.damping = 0
    let problem = LayerProblem(
      name: "layer", weights: layer.weights, scheme: try scheme(bits: 3),
      hessian: SquareMatrix(size: 48, elements: [Double](repeating: 1, count: 48 * 48)))
    #expect(try method.solve(problem).warnings.contains { $0.contains("damping raised") })
  }

  @Test func fixedInputsLearnTheirStep() throws {
    let inputs = InputScheme(
      format: try IntegerFormat(bits: 4), granularity: .tensor, symmetric: false, dynamic: false)
    var method = FlexRound()
    method.iterations = 100
    method.inputLearningRate = 1e-3
    let problem = layer.problem(LayerScheme(weights: try scheme(bits: 4), inputs: inputs))
    let learned = try #require(try method.solve(problem).layers["layer"]?.inputs)
    let start = try #require(try RoundToNearest().solve(problem).layers["layer"]?.inputs)
    guard case .fixed(let a, let zero, _, _) = learned else {
      Issue.record("inputs are not fixed")
      return
    }
    guard case .fixed(let b, let same, _, _) = start else {
      Issue.record("inputs are not fixed")
      return
    }
    #expect(a.scalar != b.scalar && zero == same)
  }

  /// A window of two layers in a row is trained against the output of the last.
  @Test func severalBlocksCanBeOneUnit() throws {
    let second = CorrelatedLayer(rows: 12, columns: layer.weights.rows, seed: 4)
    let unit = BlockSequence([
      LayerUnit(Linear(name: "first", weight: .dense(layer.weights))),
      LayerUnit(Linear(name: "second", weight: .dense(second.weights))),
    ])
    let scheme = LayerScheme(weights: try scheme(bits: 3))
    let one = layer.problem(scheme)
    let targets = layer.inputs.linear(layer.weights).linear(second.weights)
    let problem = BlockProblem(
      index: 0, block: unit, schemes: ["first": scheme, "second": scheme], original: one.original,
      quantized: one.quantized,
      targets: ActivationStream(activations: targets, length: layer.length),
      training: one.training, heldOut: one.heldOut, makeContext: one.makeContext, seed: 1,
      report: { _ in })
    var method = FlexRound()
    method.iterations = 200
    let solution = try method.solve(problem)
    #expect(Set(solution.layers.keys) == ["first", "second"])
    func error(_ solution: BlockSolution) throws -> Float {
      let a = try #require(solution.layers["first"]).weight.dequantized()
      let b = try #require(solution.layers["second"]).weight.dequantized()
      return layer.inputs.linear(a).linear(b).squaredError(to: targets, dividedBy: 1).scalar
    }
    #expect(try error(solution) < 0.9 * error(RoundToNearest().solve(problem)))
  }
}
