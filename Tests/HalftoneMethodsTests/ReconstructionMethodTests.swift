import HalftoneLayers
import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// What QDrop, BRECQ and PD-Quant promise of each other, on a small layer.
@Suite struct ReconstructionMethodTests {
  let layer = CorrelatedLayer(seed: 11)
  private static let iterations = 60

  private func qdrop(keeping probability: Float) -> QDrop {
    var method = QDrop()
    method.iterations = Self.iterations
    method.keepProbability = probability
    return method
  }

  private func inputs(dynamic: Bool) throws -> InputScheme {
    InputScheme(
      format: try IntegerFormat(bits: 4), granularity: dynamic ? .token : .tensor,
      symmetric: dynamic, dynamic: dynamic)
  }

  private func result(
    _ method: some QuantizationMethod, _ problem: BlockProblem
  ) throws -> (codes: [Int8], step: Float?) {
    let solution = try #require(try method.solve(problem).layers["layer"])
    var step: Float?
    if case .fixed(let tensor, _, _, _) = solution.inputs { step = tensor.scalar }
    return (solution.weight.codeValues, step)
  }

  // MARK: - QDrop

  @Test(arguments: [true, false]) func qdropThatKeepsAllIsAdaRound(dynamic: Bool) throws {
    let problem = layer.problem(
      LayerScheme(weights: try scheme(bits: 3), inputs: try inputs(dynamic: dynamic)))
    var adaRound = AdaRound()
    adaRound.iterations = Self.iterations
    let kept = try result(qdrop(keeping: 1), problem)
    let plain = try result(adaRound, problem)
    #expect(kept.codes == plain.codes && kept.step == plain.step)
    #expect(try result(qdrop(keeping: 0.5), problem).codes != kept.codes)
  }

  @Test func qdropTrainsFlexRound() throws {
    let problem = layer.problem(LayerScheme(weights: try scheme(bits: 3)))
    var method = qdrop(keeping: 1)
    method.rounding = .flexround
    method.learningRate = 3e-3
    var flexRound = FlexRound()
    flexRound.iterations = Self.iterations
    #expect(try result(method, problem).codes == result(flexRound, problem).codes)
  }

  /// Keeping nothing is training on the FP stream, whatever the Q stream holds.
  @Test func qdropThatKeepsNothingDoesNotSeeTheQuantizedStream() throws {
    let clean = layer.problem(LayerScheme(weights: try scheme(bits: 3)))
    var disturbed = clean
    disturbed.quantized.activations = clean.quantized.activations * 1.5
    #expect(
      try result(qdrop(keeping: 0), clean).codes == result(qdrop(keeping: 0), disturbed).codes)
    #expect(
      try result(qdrop(keeping: 1), clean).codes != result(qdrop(keeping: 1), disturbed).codes)
  }

  @Test(arguments: [-0.1, 1.1, Float.nan]) func qdropRefusesNoProbability(_ value: Float) throws {
    let scheme = LayerScheme(weights: try scheme(bits: 3))
    #expect(throws: SchemeError.self) {
      try qdrop(keeping: value).validate(scheme, rows: 24, columns: 48)
    }
  }

  // MARK: - BRECQ

  @Test func brecqOnWeightsAloneIsAdaRound() throws {
    let problem = layer.problem(LayerScheme(weights: try scheme(bits: 3)))
    var brecq = BRECQ()
    brecq.iterations = Self.iterations
    var adaRound = AdaRound()
    adaRound.iterations = Self.iterations
    #expect(try result(brecq, problem).codes == result(adaRound, problem).codes)
  }

  /// The codes do not depend on the inputs' quantizers; the steps are learned with the codes in place.
  @Test func brecqLearnsInputsAfterWeights() throws {
    let weights = try scheme(bits: 3)
    var method = BRECQ()
    method.iterations = Self.iterations
    method.inputIterations = 0
    let problem = layer.problem(LayerScheme(weights: weights, inputs: try inputs(dynamic: false)))
    let start = try result(method, problem)
    method.inputIterations = 100
    let learned = try result(method, problem)
    let alone = try result(method, layer.problem(LayerScheme(weights: weights)))
    #expect(start.codes == alone.codes && learned.codes == alone.codes)
    let before = try #require(start.step)
    let after = try #require(learned.step)
    #expect(before != after && alone.step == nil)
    let solution = try method.solve(problem)
    #expect(solution.iterations == Self.iterations + 100)
    let dynamic = layer.problem(LayerScheme(weights: weights, inputs: try inputs(dynamic: true)))
    guard case .dynamic = try #require(try method.solve(dynamic).layers["layer"]).inputs else {
      Issue.record("inputs are not per token")
      return
    }
  }

  @Test func fisherOfOnesIsTheSquaredError() throws {
    let step = try layer.step()
    let ones = ActivationStream(
      activations: Tensor(repeating: 1, shape: step.problem.targets.activations.shape),
      length: layer.length)
    let weighted = try FisherMSE(gradients: ones).loss(step).scalar
    #expect(weighted == OutputMSE().loss(step).scalar && weighted > 0)
    let zeros = ActivationStream(
      activations: Tensor(repeating: 0, shape: ones.activations.shape), length: layer.length)
    #expect(throws: MethodError.self) { _ = try FisherMSE(gradients: zeros) }
  }

  // MARK: - PD-Quant

  @Test func predictionDifferenceWithInfiniteRegularizationIsTheSquaredError() throws {
    let step = try layer.step()
    let tail = NetworkTail(blocks: [], head: MatrixHead(weight: layer.weights.transposed()))
    let divergence = try LogitDivergence(step.problem, tail: tail)
    func loss(_ regularization: Float) -> Float {
      PredictionDifference(divergence, regularization: regularization).loss(step).scalar
    }
    let error = OutputMSE().loss(step).scalar
    #expect(loss(.infinity) == error)
    #expect(abs(loss(1) - error - loss(0)) < 1e-5 * loss(1) && loss(0) > 0)
  }

  /// Pieces of five tokens of twelve, the last one shorter, against all at once.
  @Test func divergenceInPiecesIsThatOfTheWhole() throws {
    var generator = SeededGenerator(seed: 4)
    let head = MatrixHead(weight: .normal(shape: [9, 6], using: &generator))
    let target = Tensor.normal(shape: [12, 6], using: &generator)
    let output = Tensor.normal(shape: [12, 6], using: &generator).tracked()
    let whole = (head(output) * 0.25).klDivergence(from: head(target) * 0.25)
    let pieces = head.divergence(of: output, from: target, temperature: 4, tokensAtOnce: 5)
    expectClose([pieces.scalar], [whole.scalar], tolerance: 1e-6)
    expectClose(
      pieces.gradients(of: [output])[0].values, whole.gradients(of: [output])[0].values,
      tolerance: 1e-6)
  }

  /// At the block rounded to nearest the scaled divergence is the squared error.
  @Test func divergencesAreScaledToTheSquaredErrorOfRounding() throws {
    var problem = layer.problem(LayerScheme(weights: try scheme(bits: 3)))
    let tail = NetworkTail(blocks: [], head: MatrixHead(weight: layer.weights.transposed()))
    let rounded = try RoundToNearest.quantize(layer.weights, scheme(bits: 3)).dequantized()
    let run = { (x: Tensor) in x.linear(rounded) }
    let step = ReconstructionStep(
      problem: problem, samples: [0, 1], output: run(problem.quantized.samples(0..<2)),
      target: problem.targets.samples(0..<2), run: run)
    let error = OutputMSE().loss(step).scalar
    let scaled = try LogitDivergence(problem, tail: tail, scaledOn: 2).loss(step).scalar
    let plain = try LogitDivergence(problem, tail: tail).loss(step).scalar
    #expect(abs(scaled - error) < 1e-5 * error && scaled != plain)
    problem.schemes = [:]
    #expect(try LogitDivergence(problem, tail: tail, scaledOn: 2).loss(step).scalar == plain)
  }

  @Test func pdQuantWithoutANetworkIsQDrop() throws {
    let problem = layer.problem(
      LayerScheme(weights: try scheme(bits: 3), inputs: try inputs(dynamic: false)))
    var method = PDQuant()
    method.iterations = Self.iterations
    let found = try result(method, problem)
    let expected = try result(qdrop(keeping: 0.5), problem)
    #expect(found.codes == expected.codes && found.step == expected.step)
  }
}

/// Corrected activations come nearer to the moments they are to have.
@Suite struct DistributionCorrectionTests {
  /// Two samples with means far apart: each is to move to the mean of both, and no further.
  @Test func movesSamplesTowardsCommonMoments() throws {
    var problem = try CorrelatedLayer(rows: 6, columns: 6, samples: 2, length: 8, seed: 2)
      .problem(LayerScheme(weights: scheme(bits: 3)))
    let start = problem.original.activations
    let rows = start.rows
    let shifted = start.values.enumerated().map { $1 + ($0 / start.columns < rows / 2 ? 1 : -1) }
    problem.original.activations = Tensor(shifted, shape: start.shape)
    func spread(_ x: Tensor) -> Float {
      let mean = DistributionCorrection.moments(of: x, samples: 2).mean.values
      return zip(mean.prefix(6), mean.suffix(6)).reduce(0) { $0 + abs($1.0 - $1.1) }
    }
    func corrected(_ distance: Float) throws -> BlockProblem {
      try DistributionCorrection(
        iterations: 300, batch: 2, learningRate: 0.02, distance: distance
      ).corrected(problem)
    }
    let free = try corrected(1e6)
    #expect(spread(free.original.activations) < 0.02 * spread(problem.original.activations))
    let tied = try corrected(1e-6).original.activations
    expectClose(tied, problem.original.activations, tolerance: 1e-2)
    let outputs = problem.block(free.original.activations, problem.makeContext(2))
    expectClose(free.targets.activations, outputs, tolerance: 1e-5)
  }
}

extension CorrelatedLayer {
  /// An iteration on the first two samples in which the layer stands at nine tenths of its weights.
  fileprivate func step() throws -> ReconstructionStep {
    let problem = problem(LayerScheme(weights: try scheme(bits: 3)))
    let run = { (x: Tensor) in x.linear(weights * 0.9) }
    return ReconstructionStep(
      problem: problem, samples: [0, 1], output: run(problem.quantized.samples(0..<2)),
      target: problem.targets.samples(0..<2), run: run)
  }
}
