import HalftoneLayers
import HalftoneMethods
import HalftonePipeline
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// What all trained roundings share: units, objectives, and trainings that go wrong.
@Suite struct ReconstructionOptionTests {
  let layer = CorrelatedLayer(seed: 3)

  /// A layer's own output is what a block of one layer puts out.
  @Test(arguments: [true, false]) func aBlockOfOneLayerIsThatLayer(_ flexRound: Bool) throws {
    let problem = layer.problem(LayerScheme(weights: try scheme(bits: 3)))
    func codes(_ unit: ReconstructionUnit) throws -> [Int8] {
      var (flex, ada) = (FlexRound(), AdaRound())
      (flex.iterations, flex.unit, ada.iterations, ada.unit) = (60, unit, 60, unit)
      let solution = try flexRound ? flex.solve(problem) : ada.solve(problem)
      return try #require(solution.layers["layer"]).weight.codeValues
    }
    let nearest = try RoundToNearest.quantize(layer.weights, scheme(bits: 3)).codeValues
    #expect(try codes(.layer) == codes(.block) && codes(.block) != nearest)
  }

  /// Products of bfloat16 change the way, not where it leads; held-out losses are measured in floats.
  @Test func trainingInBFloat16ServesAsWell() throws {
    var problem = layer.problem(LayerScheme(weights: try scheme(bits: 3)))
    var flex = FlexRound()
    flex.iterations = 200
    let plain = try flex.solve(problem)
    problem.precision = .bfloat16
    let rounded = try flex.solve(problem)
    let (first, last) = (try #require(plain.heldOutFirst), try #require(plain.heldOutLast))
    let other = try #require(rounded.heldOutLast)
    #expect(rounded.heldOutFirst == first)
    #expect(
      last < first && abs(other - last) < 0.25 * (first - last), "\(first), \(last), \(other)")
    #expect(other != last)
  }

  /// Trained alone, the layers of a block come nearer to their own outputs than rounding to nearest.
  @Test func unitLayerServesEachLayer() throws {
    let problem = try ShortModel.problem(block: 0, bits: 3)
    var method = FlexRound()
    // The rate for blocks is too high for the smaller loss of one layer.
    (method.unit, method.iterations, method.learningRate) = (.layer, 150, 3e-4)
    let solution = try method.solve(problem)
    #expect(solution.layers.count == problem.block.linears.count)
    let (first, last) = (try #require(solution.heldOutFirst), try #require(solution.heldOutLast))
    #expect(last < first, "\(last), rounded to nearest \(first)")
    for linear in problem.block.linears {
      let rounded = try RoundToNearest.quantize(linear.weight.dense(), scheme(bits: 3))
      let learned = try #require(solution.layers[linear.name])
      #expect(learned.weight.codeValues != rounded.codeValues)
    }
  }

  /// With the head in view, the last block's predictions diverge less on samples not learned from.
  @Test func lastBlockLogitsLowerTheDivergence() throws {
    let problem = try ShortModel.problem(block: 1, bits: 2)
    let head = try ShortModel().head()
    let context = problem.makeContext(problem.heldOut.count)
    let target = head(problem.targets.samples(problem.heldOut))
    func divergence(_ solution: BlockSolution) throws -> Float {
      var block = problem.block
      block.forEachLinear { linear in
        guard let weight = solution.layers[linear.name]?.weight else { return }
        linear.weight = .dense(weight.dequantized())
      }
      let output = head(block(problem.quantized.samples(problem.heldOut), context))
      return output.klDivergence(from: target).scalar
    }
    var flex = FlexRound()
    flex.iterations = 200
    let plain = try divergence(flex.solve(problem))
    flex.lastBlock = .logits
    #expect(try divergence(flex.solve(problem)) < plain)
    // Other blocks are trained as before.
    let first = try ShortModel.problem(block: 0, bits: 2)
    #expect(try flex.reconstruction(of: first).objective is OutputMSE)
    #expect(try flex.reconstruction(of: problem).objective is LogitDivergence)
  }

  @Test(arguments: [1e3, 1e30] as [Float]) func divergenceKeepsTheBestStateAndSaysSo(
    _ rate: Float
  ) throws {
    let scheme = try scheme(bits: 3)
    let rounded = layer.outputError(
      of: try RoundToNearest.quantize(layer.weights, scheme).dequantized())
    var method = FlexRound()
    (method.iterations, method.learningRate) = (100, rate)
    let solution = try method.solve(layer.problem(LayerScheme(weights: scheme)))
    let result = try #require(solution.layers["layer"])
    #expect(result.warnings.contains { $0.contains("is kept. Lower the learning rate") })
    #expect(solution.iterations < 100)
    #expect(layer.outputError(of: result.weight.dequantized()) <= rounded)
    let (first, last) = (try #require(solution.heldOutFirst), try #require(solution.heldOutLast))
    #expect(last <= first)
  }

  /// Without samples to judge by, what is kept is the state before the first iteration.
  @Test func divergenceWithoutHeldOutSamplesKeepsTheStart() throws {
    let scheme = try scheme(bits: 3)
    var problem = layer.problem(LayerScheme(weights: scheme))
    problem.heldOut = 0..<0
    var method = FlexRound()
    (method.iterations, method.learningRate) = (100, 1e30)
    let solution = try method.solve(problem)
    let result = try #require(solution.layers["layer"])
    #expect(result.warnings.contains { $0.contains("the state of iteration 0 is kept") })
    let rounded = try RoundToNearest.quantize(layer.weights, scheme)
    #expect(result.weight.codeValues == rounded.codeValues && solution.heldOutLast == nil)
  }

  /// Soft roundings that nothing drives to a code are rounded in the end, and the report says so.
  @Test func roundingsThatHaveNotSettledAreReported() throws {
    func solution(penalty: Float) throws -> (settled: Float?, warnings: [String]) {
      var method = AdaRound()
      method.penalty = penalty
      let solution = try method.solve(layer.problem(LayerScheme(weights: scheme(bits: 3))))
      return (solution.settled, try #require(solution.layers["layer"]).warnings)
    }
    let (loose, tight) = (try solution(penalty: 0), try solution(penalty: 1e3))
    #expect(loose.settled ?? 1 < 0.5 && loose.warnings.contains { $0.contains("had settled") })
    #expect(tight.settled ?? 0 > 0.9 && tight.warnings.isEmpty)
    let flex = try FlexRound().solve(layer.problem(LayerScheme(weights: scheme(bits: 3))))
    #expect(flex.settled == nil)
  }

  /// The last held-out loss is that of the codes that are stored, which SignRound takes from the best batch.
  @Test func theLastHeldOutLossIsThatOfTheStoredCodes() throws {
    var method = SignRound()
    method.iterations = 57
    let problem = layer.problem(LayerScheme(weights: try scheme(bits: 3)))
    let solution = try method.solve(problem)
    let weight = try #require(solution.layers["layer"]).weight.dequantized()
    let samples = problem.heldOut.prefix(method.batch)
    let rows = samples.lowerBound..<samples.upperBound
    let loss = problem.quantized.samples(rows).linear(weight).squaredError(
      to: problem.targets.samples(rows), dividedBy: Float(rows.count * layer.weights.rows))
    #expect(abs(loss.scalar - (solution.heldOutLast ?? 0)) < 1e-5 * loss.scalar)
  }

  @Test func aGradientThatIsNoNumberEndsTheTraining() throws {
    let scheme = try scheme(bits: 3)
    let problem = layer.problem(LayerScheme(weights: scheme))
    let settings = Reconstruction(iterations: 10, batch: 2, learningRate: 1e-3)
    let solution = try settings.solve(problem, with: BrokenGradient())
    let result = try #require(solution.layers["layer"])
    #expect(result.warnings.contains { $0.contains("a gradient was not a number at iteration 0") })
    let rounded = try RoundToNearest.quantize(layer.weights, scheme)
    #expect(result.weight.codeValues == rounded.codeValues && solution.iterations == 0)
  }
}

/// A rounding whose weights are those rounded to nearest, and whose gradient is 0/0.
private struct BrokenGradient: LearnableRounding {
  struct Variables: RoundingVariables {
    let start: QuantizedTensor
    var leaves: [Tensor]
    let relativeRates: [Float] = [1]

    /// clamp(ln 0) is 0; the clamp passes no gradient on, and 0/0 is what ln makes of it.
    func weights() -> Tensor { start.dequantized().addingRow(leaves[0].log().clamped(to: 0...1)) }

    func penalty(progress: Float) -> Tensor? { nil }

    func quantized() throws -> QuantizedTensor { start }
  }

  func variables(for weights: Tensor, _ scheme: WeightScheme) throws -> any RoundingVariables {
    Variables(
      start: try RoundToNearest.quantize(weights, scheme),
      leaves: [Tensor(repeating: 0, shape: [weights.columns]).tracked()])
  }
}

/// The first two blocks of the smallest shipped model, with its head.
private struct ShortModel: LanguageModel {
  private let model: any LanguageModel

  init() throws {
    model = try OpenedModel(path: Repository.path("Resources/models/stories260k")).model
  }

  let blockCount = 2
  var hiddenSize: Int { model.hiddenSize }
  var vocabularySize: Int { model.vocabularySize }
  var contextLength: Int { model.contextLength }
  var endOfTextIds: [Int] { model.endOfTextIds }
  func block(_ index: Int) throws -> any TransformerBlock { try model.block(index) }
  func storedBlock(_ index: Int) throws -> any TransformerBlock { try model.storedBlock(index) }
  func linearShapes(ofBlock index: Int) -> [LinearShape] { model.linearShapes(ofBlock: index) }
  var embeddingShape: LinearShape { model.embeddingShape }
  var headShape: LinearShape? { model.headShape }
  func embed(_ ids: [Int]) throws -> Tensor { try model.embed(ids) }
  func head() throws -> any OutputHead { try model.head() }
  func storedHead() throws -> StoredHead { try model.storedHead() }
  func context(batch: Int, length: Int, start: Int) -> ForwardContext {
    model.context(batch: batch, length: length, start: start)
  }

  /// One block on shipped text, the blocks before it as they were.
  static func problem(block index: Int, bits: Int) throws -> BlockProblem {
    let path = Repository.path("Resources/models/stories260k")
    let (short, length) = (try ShortModel(), 64)
    let calibration = try Calibration(
      files: [Repository.path("Resources/text/tinystories-calibration.txt")],
      size: CalibrationSize(samples: 64, length: length),
      tokenizer: OpenedModel(path: path).tokenizer())
    let context = short.context(batch: calibration.sampleCount, length: length, start: 0)
    var entering = try short.embed(calibration.ids)
    for i in 0..<index {
      let earlier = try short.block(i)
      entering = earlier(entering, context)
    }
    let block = try short.block(index)
    let scheme = LayerScheme(weights: try scheme(bits: bits))
    let schemes = Dictionary(uniqueKeysWithValues: block.linears.map { ($0.name, scheme) })
    let stream = ActivationStream(activations: entering, length: length)
    var problem = BlockProblem(
      index: index, block: block, schemes: schemes, original: stream, quantized: stream,
      targets: ActivationStream(activations: block(entering, context), length: length),
      training: calibration.training, heldOut: calibration.heldOut,
      makeContext: { short.context(batch: $0, length: length, start: 0) }, seed: 1,
      report: { _ in })
    problem.network = Network(
      model: short, ids: calibration.ids, schemes: { _ in schemes },
      prepared: { i, _ in try short.block(i) })
    return problem
  }
}
