import Foundation
import HalftoneLayers
import HalftoneMethods
import HalftoneModels
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// What CBQ's equations say: the rounding of low rank, its objective, the windows.
@Suite struct CBQTests {
  let layer = CorrelatedLayer(seed: 3)

  /// The paper's rounding.
  static var lora: CBQ {
    var method = CBQ()
    method.rounding = .lora
    return method
  }

  // MARK: - Rounding

  @Test(arguments: [Granularity.tensor, .channel, .group(16)], [true, false])
  func startsAtRoundToNearest(_ granularity: Granularity, symmetric: Bool) throws {
    for bits in 2...4 {
      let scheme = try scheme(bits: bits, granularity, symmetric: symmetric)
      let start = try Self.lora.variables(for: layer.weights, scheme)
      let rounded = try RoundToNearest.quantize(layer.weights, scheme)
      #expect(start.weights().values == rounded.dequantized().values)
      #expect(try start.quantized().codeValues == rounded.codeValues)
      #expect(try start.quantized().levels[0].values == rounded.levels[0].values)
    }
  }

  /// Ŵ is s·(⌊W/s⌋ + h(V₀ + A1·A2)), computed here in `Double`.
  @Test func softWeightsFollowTheEquation() throws {
    var method = Self.lora
    (method.straightThrough, method.rank) = (false, 2)
    var variables = try method.variables(for: layer.weights, try scheme(bits: 4))
    var generator = SeededGenerator(seed: 1)
    variables.leaves = variables.leaves.map {
      (Tensor.normal(shape: $0.shape, using: &generator) * 0.3).tracked()
    }
    let (logStep, a1, a2) = (
      variables.leaves[0].values, variables.leaves[1].values, variables.leaves[2].values
    )
    let grids = try scheme(bits: 4).grids(for: layer.weights)
    let expected = layer.weights.values.enumerated().map { i, w in
      let (row, column) = (i / 48, i % 48)
      // The step as the program has it: the floor may turn on its last bit.
      let s = grids.grid(row: row, group: 0).scale * Kernels.exp(logStep[row])
      let floor = Double((w / s).rounded(.down))
      let share = (Double(w / s) - floor + 0.1) / 1.2
      let product = (0..<2).reduce(0.0) { $0 + Double(a1[row * 2 + $1] * a2[$1 * 48 + column]) }
      let sigmoid = 1 / (1 + exp(-log(share / (1 - share)) - product))
      let code = min(max(floor + min(max(1.2 * sigmoid - 0.1, 0), 1), -8), 7)
      return Float(Double(s) * code)
    }
    expectClose(variables.weights().values, expected, tolerance: 1e-5)
  }

  @Test func aRankLargerThanTheMatrixIsRefused() throws {
    var method = Self.lora
    method.rank = 25
    let scheme = LayerScheme(weights: try scheme(bits: 4))
    let error = #expect(throws: SchemeError.self) {
      try method.validate(scheme, rows: 24, columns: 48)
    }
    #expect(error?.description.contains("ranks from 1 to 24") == true)
    method.rank = 24
    try method.validate(scheme, rows: 24, columns: 48)
  }

  @Test(arguments: [(0, 0), (2, 2), (2, -1)]) func windowsMustGoForward(
    _ window: Int, _ overlap: Int
  ) throws {
    var method = CBQ()
    (method.window, method.overlap) = (window, overlap)
    let scheme = LayerScheme(weights: try scheme(bits: 4))
    #expect(throws: SchemeError.self) { try method.validate(scheme, rows: 24, columns: 48) }
  }

  // MARK: - Windows

  @Test func windowsCoverAllBlocksAndTheLastMayBeShort() {
    func windows(_ size: Int, _ overlap: Int, _ blocks: Int) -> [Range<Int>] {
      let schedule = WindowSchedule(size: size, overlap: overlap, blocks: blocks)
      return (0..<blocks).compactMap { schedule.window(from: $0) }
    }
    #expect(windows(2, 1, 5) == [0..<2, 1..<3, 2..<4, 3..<5])
    #expect(windows(3, 1, 5) == [0..<3, 2..<5])
    #expect(windows(3, 1, 6) == [0..<3, 2..<5, 4..<6])
    #expect(windows(2, 0, 5) == [0..<2, 2..<4, 4..<5])
    #expect(windows(1, 0, 3) == [0..<1, 1..<2, 2..<3])
    #expect(windows(5, 4, 5) == [0..<5])
  }

  /// The state of a block that two windows share goes from the first into the second: with no step
  /// taken there, it comes out as it went in.
  @Test func theSecondWindowGoesOnWhereTheFirstEnded() throws {
    let network = try SmallNetwork()
    var method = Self.lora
    (method.iterations, method.batch, method.learningRate) = (20, 2, 1e-2)
    let first = try method.solve(try network.problem(0, carried: [:]))
    let carried = try #require(first.carried)
    let name = "model.layers.1.self_attn.q_proj"
    #expect(first.layers.keys.allSatisfy { $0.hasPrefix("model.layers.0.") })
    #expect(carried.keys.allSatisfy { $0.hasPrefix("model.layers.1.") })
    #expect(carried["\(name)/leaf/1"]?.shape == [64, 5])
    #expect(carried["\(name)/leaf/1"]?.values.contains { $0 != 0 } == true)
    method.learningRate = .leastNormalMagnitude
    let second = try method.solve(try network.problem(1, carried: carried))
    let problem = try network.problem(1, carried: [:])
    let weights = try #require(problem.block.linears.first { $0.name == name }).weight.dense()
    let scheme = try #require(problem.schemes[name]?.weights)
    var state = try method.variables(for: weights, scheme)
    state.leaves = (0..<3).compactMap { carried["\(name)/leaf/\($0)"]?.tracked() }
    let kept = try #require(second.layers[name]).weight
    #expect(try kept.codeValues == state.quantized().codeValues)
    #expect(kept.codeValues != (try RoundToNearest.quantize(weights, scheme).codeValues))
  }

  /// Steps of fixed inputs go on where the first window left them, too.
  @Test func theSecondWindowKeepsTheStepsOfInputs() throws {
    let network = try SmallNetwork()
    var method = CBQ()
    (method.iterations, method.batch, method.inputLearningRate) = (5, 2, 1e-2)
    let inputs = InputScheme(
      format: try IntegerFormat(bits: 4), granularity: .tensor, symmetric: false, dynamic: false)
    let first = try method.solve(try network.problem(0, carried: [:], inputs: inputs))
    let carried = try #require(first.carried)
    let name = "model.layers.1.self_attn.q_proj"
    (method.inputLearningRate, method.iterations) = (0, 1)
    let second = try method.solve(try network.problem(1, carried: carried, inputs: inputs))
    guard case .fixed(let step, _, _, _) = try #require(second.layers[name]).inputs else {
      Issue.record("inputs are not fixed")
      return
    }
    #expect(step.scalar == carried["\(name)/inputs"]?.values[0])
  }

  @Test func softWeightsNeedAPenalty() throws {
    var method = CBQ()
    method.rounding = .adaround
    let scheme = LayerScheme(weights: try scheme(bits: 4))
    #expect(throws: SchemeError.self) { try method.validate(scheme, rows: 8, columns: 8) }
    method.penalty = 100
    try method.validate(scheme, rows: 8, columns: 8)
  }

  /// Two blocks trained together are closer to the original after the second than two trained alone.
  @Test func aWindowServesItsLastOutput() throws {
    let network = try SmallNetwork()
    var joint = CBQ()
    (joint.iterations, joint.batch) = (60, 4)
    let problem = try network.problem(0, carried: [:])
    let solution = try joint.solve(problem)
    let first = try #require(solution.heldOutFirst)
    let last = try #require(solution.heldOutLast)
    #expect(last < 0.9 * first)
  }

  // MARK: - Objective

  /// ‖h₁ − h₂‖² + κ·KL by its definition, in `Double`.
  @Test func theObjectiveIsSquaredErrorAndDivergence() throws {
    var generator = SeededGenerator(seed: 2)
    let output = Tensor.normal(shape: [6, 5], using: &generator)
    let other = Tensor.normal(shape: [6, 5], using: &generator)
    let target = Tensor.normal(shape: [6, 5], using: &generator)
    let stream = ActivationStream(activations: target, length: 3)
    var problem = layer.problem(LayerScheme(weights: try scheme(bits: 4)))
    (problem.original, problem.targets) = (stream, stream)
    let step = ReconstructionStep(
      problem: problem, samples: [1, 0], output: output, target: target, run: { _ in other })
    func distance(_ h: Tensor, _ kappa: Double) -> Double {
      let (a, b) = (target.values.map(Double.init), h.values.map(Double.init))
      let square = zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      let divergence = stride(from: 0, to: 30, by: 5).reduce(0.0) { total, row in
        let (p, q) = (softmax(a[row..<row + 5]), softmax(b[row..<row + 5]))
        return total + zip(p, q).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) }
      }
      return (square + kappa * divergence) / 10
    }
    var objective = DistributionObjective(divergenceWeight: 0.5, homologousWeight: 0)
    let alone = try objective.loss(step).scalar
    expectClose([alone], [Float(distance(output, 0.5))], tolerance: 1e-5)
    objective.homologousWeight = 2
    let both = try objective.loss(step).scalar
    let expected = distance(output, 0.5) + 2 * distance(other, 0.5)
    expectClose([both], [Float(expected)], tolerance: 1e-5)
  }

  private func softmax(_ x: ArraySlice<Double>) -> [Double] {
    let total = x.reduce(0) { $0 + exp($1) }
    return x.map { exp($0) / total }
  }
}

/// Two blocks of the smallest bundled model as a method sees them.
struct SmallNetwork {
  let model: any LanguageModel
  let length = 16
  let samples = 8
  private let ids: [Int]

  init() throws {
    let folder = Repository.path("Resources/models/stories260k")
    model = try ModelCatalog.model(
      configuration: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")),
      weights: StoredWeights(folder))
    let vocabulary = model.vocabularySize
    ids = (0..<8 * 16).map { ($0 * 7919 + 13) % vocabulary }
  }

  /// Block `index` with the original network before it on both streams.
  func problem(
    _ index: Int, carried: [String: Tensor], inputs: InputScheme? = nil
  ) throws -> BlockProblem {
    var x = try model.embed(ids)
    let context = model.context(batch: samples, length: length, start: 0)
    for i in 0..<index {
      let earlier = try model.block(i)
      x = earlier(x, context)
    }
    let stream = ActivationStream(activations: x, length: length)
    let block = try model.block(index)
    let weights = LayerScheme(weights: try scheme(bits: 3), inputs: inputs)
    let (model, length) = (model, length)
    @Sendable func schemes(_ index: Int) -> [String: LayerScheme] {
      Dictionary(
        uniqueKeysWithValues: model.linearShapes(ofBlock: index).map { ($0.name, weights) })
    }
    var problem = BlockProblem(
      index: index, block: block, schemes: schemes(index), original: stream, quantized: stream,
      targets: ActivationStream(activations: block(x, context), length: length),
      training: 0..<6, heldOut: 6..<8,
      makeContext: { model.context(batch: $0, length: length, start: 0) }, seed: 1,
      report: { _ in })
    problem.network = Network(
      model: model, ids: ids, schemes: schemes, prepared: { index, _ in try model.block(index) })
    problem.carried = carried
    return problem
  }
}
