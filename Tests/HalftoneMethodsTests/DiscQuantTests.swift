import Foundation
import HalftoneLayers
import HalftoneMethods
import HalftoneModels
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

@Suite struct DiscQuantTests {
  static func model() throws -> any LanguageModel {
    let folder = Repository.path("Tests/HalftoneModelsTests/Golden/qwen2-tied")
    return try ModelCatalog.model(
      configuration: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")),
      weights: StoredWeights(folder))
  }

  /// The first block of the tiny model, all layers with 3 bits, on random tokens.
  static func problem(_ model: any LanguageModel, seed: UInt64 = 1) throws -> BlockProblem {
    let (samples, length) = (12, 8)
    var generator = SeededGenerator(seed: 9)
    let ids = (0..<samples * length).map { _ in generator.below(model.vocabularySize) }
    let layer = LayerScheme(weights: try scheme(bits: 3))
    let schemes: @Sendable (Int) -> [String: LayerScheme] = { index in
      Dictionary(uniqueKeysWithValues: model.linearShapes(ofBlock: index).map { ($0.name, layer) })
    }
    let stream = ActivationStream(activations: try model.embed(ids), length: length)
    let context = model.context(batch: samples, length: length, start: 0)
    let block = try model.block(0)
    var problem = BlockProblem(
      index: 0, block: block, schemes: schemes(0), original: stream, quantized: stream,
      targets: ActivationStream(
        activations: block(stream.activations, context), length: length),
      training: 0..<8, heldOut: 8..<samples,
      makeContext: { model.context(batch: $0, length: length, start: 0) }, seed: seed,
      report: { _ in })
    problem.network = Network(
      model: model, ids: ids, schemes: schemes, prepared: { index, _ in try model.block(index) })
    return problem
  }

  private func method(_ iterations: Int) -> DiscQuant {
    var method = DiscQuant()
    method.iterations = iterations
    method.batch = 4
    return method
  }

  // MARK: - The pass

  /// Recomputing the blocks one by one gives the gradients of the graph of the whole network.
  @Test func recomputedGradientsAreThoseOfTheWholeGraph() throws {
    let model = try Self.model()
    let problem = try Self.problem(model)
    let (input, context) = (problem.quantized.samples(0..<3), problem.makeContext(3))
    let head = try model.head()
    let target = Tensor(
      input.linear(Tensor(repeating: 0.01, shape: [64, 32])).values.enumerated().map {
        $1 + Float($0 % 7) * 0.3
      }, shape: [24, 64])
    func tracked(_ index: Int) throws -> RecomputedPass.Step {
      var step = RecomputedPass.Step(block: try model.block(index), leaves: [])
      step.block.forEachLinear { linear in
        let leaf = linear.weight.dense().tracked()
        step.leaves.append(leaf)
        linear.weight = .dense(leaf)
      }
      return step
    }
    let steps = try (0..<2).map(tracked)
    let output = steps.reduce(input) { $1.block($0, context) }
    let expected = head(output).klDivergence(from: target)
      .gradients(of: steps.flatMap(\.leaves))
    let pass = RecomputedPass(count: 2) { index, isTracked in
      isTracked ? try tracked(index) : .init(block: try model.block(index), leaves: [])
    }
    var found: [Int: [Tensor]] = [:]
    try pass(input, context) { output in
      let leaf = output.tracked()
      return head(leaf).klDivergence(from: target).gradients(of: [leaf])[0]
    } take: { index, gradients in
      found[index] = gradients
      return true
    }
    for (a, b) in zip((found[0] ?? []) + (found[1] ?? []), expected) {
      expectClose(a, b, tolerance: 1e-5)
    }
    #expect(found.values.reduce(0) { $0 + $1.count } == expected.count)
    expectClose(try pass.output(input, context), output.detached, tolerance: 1e-6)
  }

  /// Six steps against torch (Scripts/golden/discquant.py): the layer's outputs go through a head.
  @Test(arguments: ["w3-channel-symmetric", "w3-group-symmetric", "w4-group-asymmetric"])
  func golden(_ name: String) throws {
    let layer = try GoldenFile("layer.safetensors")
    let golden = try GoldenFile("DiscQuant/\(name).safetensors")
    let weights = try layer.floats("weight")
    let scheme = try scheme(
      bits: name.hasPrefix("w3") ? 3 : 4, name.contains("group") ? .group(16) : .channel,
      symmetric: name.hasSuffix("-symmetric"))
    var method = DiscQuant()
    (method.iterations, method.learningRate, method.rho, method.clamp) = (6, 0.1, 2, 1)
    method.warmUp = 1 / 3
    var seeds = SeededGenerator(seed: 1)
    let unit = LayerUnit(Linear(name: "layer", weight: .dense(weights)))
    let block = try DiscQuantBlock(unit, ["layer": LayerScheme(weights: scheme)], method, &seeds)
    let around = block.layers[0].grid.neighbours(of: weights)
    expectClose(
      try block.layers[0].grid.values(around.below), try golden.floats("below"), tolerance: 1e-5)
    expectClose(
      try block.layers[0].grid.values(around.above), try golden.floats("above"), tolerance: 1e-5)
    let squaredStep = 12 * Float(block.layers[0].nearestError)
    expectClose([squaredStep], try golden.floats("squared_step").values, tolerance: 1e-5)
    block.layers[0].share = try golden.floats("start")
    let (tokens, head) = (try layer.floats("inputs").view(0..<32), try golden.floats("head"))
    let target = tokens.linear(weights).linear(head)
    var losses: [Float] = []
    for step in 0..<6 {
      let leaf = try block.layers[0].softWeights(weights).tracked()
      let loss = tokens.linear(leaf).linear(head).klDivergence(from: target)
      losses.append(loss.scalar)
      try block.update(
        unit, loss.gradients(of: [leaf]), method, scale: method.rho / squaredStep,
        rate: method.rate(at: step))
      let range = step * weights.count..<(step + 1) * weights.count
      let expected = try golden.floats("shares").values[range]
      expectClose(block.layers[0].share.values, Array(expected), tolerance: 1e-3)
    }
    expectClose(losses, try golden.floats("losses").values, tolerance: 1e-3)
    expectClose(
      (0..<6).map(method.rate), try golden.floats("rates").values, tolerance: 1e-6)
  }

  // MARK: - The method

  @Test func everyCodeIsOneOfTheTwoNeighbours() throws {
    let problem = try Self.problem(Self.model())
    let solution = try method(40).solve(problem)
    let carried = try #require(solution.carried)
    let later = try #require(problem.network).schemes(1)
    #expect(Set(carried.keys) == Set(later.keys))
    for linear in problem.block.linears {
      let scheme = try #require(problem.schemes[linear.name]?.weights)
      let weights = linear.weight.dense()
      let grid = CodeGrid(
        try scheme.grids(for: weights), format: scheme.format, shape: weights.shape)
      let around = grid.neighbours(of: weights)
      let codes = try #require(solution.layers[linear.name]).weight.codes
      let (low, high, own) = (bytes(around.below), bytes(around.above), bytes(codes))
      #expect(own.indices.allSatisfy { own[$0] == low[$0] || own[$0] == high[$0] })
    }
  }

  /// A later block reads its codes; without them the run cannot go on.
  @Test func laterBlocksTakeWhatTheFirstLeftThem() throws {
    let model = try Self.model()
    var problem = try Self.problem(model)
    let first = try method(40).solve(problem)
    problem.index = 1
    problem.block = try model.block(1)
    problem.schemes = problem.network?.schemes(1) ?? [:]
    problem.carried = try #require(first.carried)
    let second = try method(40).solve(problem)
    #expect(second.carried == nil)
    for (name, layer) in second.layers {
      #expect(bytes(layer.weight.codes) == bytes(try #require(problem.carried[name])))
    }
    problem.carried.removeValue(forKey: "model.layers.1.mlp.down_proj")
    #expect(throws: MethodError.self) { try method(40).solve(problem) }
  }

  /// The divergence on held-out samples falls below that of rounding to nearest, and most variables end
  /// at 0 or 1 by themselves.
  @Test func trainingLowersTheDivergenceAndSettles() throws {
    let problem = try Self.problem(Self.model())
    let solution = try method(200).solve(problem)
    let (nearest, own) = (
      try #require(solution.heldOutFirst), try #require(solution.heldOutLast)
    )
    #expect(own < nearest, "\(own), rounding to nearest \(nearest)")
    let settled = try #require(solution.settled)
    #expect(settled > 0.75, "\(settled)")
    let same = try method(200).solve(problem)
    for (name, layer) in solution.layers {
      #expect(layer.weight.codeValues == same.layers[name]?.weight.codeValues)
    }
  }

  @Test func aLossThatIsNoNumberLeavesRoundingToNearest() throws {
    let layer = CorrelatedLayer(seed: 11)
    let scheme = try scheme(bits: 3)
    var problem = layer.problem(LayerScheme(weights: scheme))
    problem.targets = ActivationStream(
      activations: Tensor(repeating: .nan, shape: problem.targets.activations.shape),
      length: layer.length)
    let solution = try #require(try method(20).solve(problem).layers["layer"])
    #expect(solution.warnings.contains { $0.contains("not a number at iteration 0") })
    #expect(
      try solution.weight.codeValues == RoundToNearest.quantize(layer.weights, scheme).codeValues)
  }

  @Test func whatCannotBeServedIsRefused() throws {
    let inputs = InputScheme(
      format: try IntegerFormat(bits: 8), granularity: .tensor, symmetric: false, dynamic: false)
    let fixed = LayerScheme(weights: try scheme(bits: 4), inputs: inputs)
    let plain = LayerScheme(weights: try scheme(bits: 4))
    #expect(throws: SchemeError.self) { try DiscQuant().validate(fixed, rows: 8, columns: 8) }
    try DiscQuant().validate(plain, rows: 8, columns: 8)
    let changes: [(inout DiscQuant) -> Void] = [
      { $0.iterations = 0 }, { $0.batch = 0 }, { $0.learningRate = 0 }, { $0.rho = -1 },
      { $0.clamp = .infinity }, { $0.warmUp = 1 },
    ]
    for change in changes {
      var method = DiscQuant()
      change(&method)
      #expect(throws: SchemeError.self) { try method.validate(plain, rows: 8, columns: 8) }
    }
  }

  private func bytes(_ codes: Tensor) -> [Int8] {
    codes.withBytes { Array($0.bindMemory(to: Int8.self)) }
  }
}
