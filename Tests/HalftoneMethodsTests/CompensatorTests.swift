import HalftoneLayers
import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// LoRC and bias correction: what each promises, and an independent implementation
/// (Scripts/golden/compensators.py).
@Suite struct CompensatorTests {
  /// A float matrix as a quantized one: a code of 1 or 0, and scales that are the numbers.
  private func exact(_ values: Tensor) throws -> QuantizedTensor {
    try QuantizedTensor(
      shape: values.shape, format: IntegerFormat(bits: 8),
      codes: Tensor(repeating: 1, shape: values.shape).converted(to: .int8), levels: [values])
  }

  private func lorc(_ rank: Int, aware: Bool) -> LoRC {
    var lorc = LoRC()
    (lorc.rank, lorc.activationAware) = (rank, aware)
    return lorc
  }

  private func factors(
    _ compensator: LoRC, _ weights: Tensor, _ rounded: QuantizedTensor, _ inputs: Tensor
  ) throws -> LowRankFactors {
    let found = try compensator.compensate(
      CompensationProblem(
        name: "layer", weights: weights, originalWeights: weights,
        solution: LayerSolution(weight: rounded), quantizedInputs: InputStatistics(of: inputs)))
    return try #require(found.lowRank)
  }

  // MARK: - LoRC

  @Test(arguments: [1, 4, 16], [false, true]) func lorcAgreesWithNumpy(rank: Int, aware: Bool)
    throws
  {
    let layer = try GoldenFile("layer.safetensors")
    let golden = try GoldenFile("LoRC/w3-channel-symmetric.safetensors")
    let factors = try factors(
      lorc(rank, aware: aware), layer.floats("weight"), exact(golden.floats("quantized")),
      layer.floats("inputs"))
    let prefix = "\(aware ? "aware" : "plain").\(rank)"
    // Halves have eleven bits.
    expectClose(factors.left.float(), try golden.floats("\(prefix).left"), tolerance: 0x1p-11)
    expectClose(factors.right.float(), try golden.floats("\(prefix).right"), tolerance: 0x1p-11)
    #expect(
      factors.byteCount
        == lorc(rank, aware: aware).extraBytes(
          LayerScheme(weights: nil), rows: 16, columns: 48))
  }

  @Test(arguments: [false, true]) func theErrorFallsWithTheRank(aware: Bool) throws {
    let layer = CorrelatedLayer(seed: 3)
    let rounded = try RoundToNearest.quantize(layer.weights, scheme(bits: 3))
    var errors = [layer.outputError(of: rounded.dequantized())]
    for rank in [2, 4, 8, 16, 24] {
      let factors = try factors(lorc(rank, aware: aware), layer.weights, rounded, layer.inputs)
      errors.append(layer.outputError(of: rounded.dequantized() + factors.product()))
    }
    #expect(zip(errors, errors.dropFirst()).allSatisfy { $1 < $0 }, "\(errors)")
    // Of full rank only the rounding of the factors to halves is left.
    #expect(errors[5] < 1e-5 * errors[0])
  }

  @Test func knowingTheInputsHelps() throws {
    let layer = CorrelatedLayer(seed: 4)
    let rounded = try RoundToNearest.quantize(layer.weights, scheme(bits: 3))
    let errors = try [false, true].map { aware in
      let factors = try factors(lorc(4, aware: aware), layer.weights, rounded, layer.inputs)
      return layer.outputError(of: rounded.dequantized() + factors.product())
    }
    #expect(errors[1] < errors[0], "\(errors)")
  }

  @Test func inputsThatAreAlwaysZeroGetNoCorrection() throws {
    let layer = CorrelatedLayer(seed: 5)
    let inputs = Tensor(
      layer.inputs.values.enumerated().map { $0 % 48 == 7 ? 0 : $1 }, shape: layer.inputs.shape)
    let rounded = try RoundToNearest.quantize(layer.weights, scheme(bits: 3))
    let right = try factors(lorc(8, aware: true), layer.weights, rounded, inputs).right.float()
    #expect((0..<8).allSatisfy { right.values[$0 * 48 + 7] == 0 })
    #expect(right.values.allSatisfy { $0.isFinite })
  }

  @Test func aRankLargerThanTheMatrixIsRefused() throws {
    let scheme = LayerScheme(weights: try scheme(bits: 4))
    try lorc(24, aware: false).validate(scheme, rows: 24, columns: 48)
    for (rank, words) in [(25, "use 1 to 24"), (0, "use at least 1")] {
      let error = #expect(throws: SchemeError.self) {
        try lorc(rank, aware: false).validate(scheme, rows: 24, columns: 48)
      }
      #expect(error?.description.contains(words) == true)
    }
  }

  // MARK: - Bias correction

  @Test func biasCorrectionAgreesWithNumpy() throws {
    let weights = try GoldenFile("layer.safetensors").floats("weight")
    let golden = try GoldenFile("BiasCorrection/w3-channel-symmetric.safetensors")
    let bias = try golden.floats("bias")
    let found = try BiasCorrection().compensate(
      CompensationProblem(
        name: "layer", weights: weights, originalWeights: weights, originalBias: bias,
        solution: LayerSolution(weight: exact(golden.floats("quantized"))), bias: bias,
        originalInputs: InputStatistics(of: golden.floats("original")),
        quantizedInputs: InputStatistics(of: golden.floats("drifted"))))
    let corrected = try #require(found.bias) + bias
    expectClose(corrected, try golden.floats("corrected"), tolerance: 1e-6)
  }

  /// Two layers in a row, of which the second sees what the first became: the means of its outputs
  /// are the original's all the same.
  @Test(arguments: [nil, 8]) func meansAreRestoredLayerByLayer(inputBits: Int?) throws {
    let (problem, solution) = try compensated(inputBits)
    var quantized = problem.block
    quantized.forEachLinear { linear in
      if let layer = solution.layers[linear.name] { linear = layer.applied(to: linear) }
    }
    let context = problem.makeContext(problem.quantized.samples)
    let expected = means(of: problem.block(problem.original.activations, context))
    let nearest = try rounded(problem)
    let plain = means(of: nearest(problem.quantized.activations, context))
    let corrected = means(of: quantized(problem.quantized.activations, context))
    let scale = expected.map { abs($0) }.max() ?? 0
    #expect(zip(corrected, expected).allSatisfy { abs($0 - $1) <= 1e-6 * scale })
    #expect(zip(plain, expected).contains { abs($0 - $1) > 1e-3 * scale })
  }

  @Test func compensationDoesNotDependOnThreads() throws {
    var results: [BlockSolution] = []
    for threads in [1, 2, 3] {
      Parallelism.threads = threads
      results.append(try compensated(nil).solution)
    }
    for name in ["first", "second"] {
      let first = try #require(results[0].layers[name])
      for other in results.dropFirst().compactMap({ $0.layers[name] }) {
        #expect(other.bias?.values == first.bias?.values)
        #expect(other.lowRank?.left.float().values == first.lowRank?.left.float().values)
        #expect(other.lowRank?.right.float().values == first.lowRank?.right.float().values)
      }
    }
  }

  @Test func factorsOfTwoStepsAddUp() throws {
    let layer = CorrelatedLayer(seed: 9)
    let rounded = try RoundToNearest.quantize(layer.weights, scheme(bits: 3))
    let one = try factors(lorc(2, aware: false), layer.weights, rounded, layer.inputs)
    let other = try factors(lorc(3, aware: false), layer.weights, rounded, layer.inputs)
    let both = try one.adding(other)
    #expect(both.rank == 5)
    expectClose(both.product(), one.product() + other.product(), tolerance: 1e-6)
  }

  // MARK: - A block of two layers

  private func problem(_ inputBits: Int?) throws -> BlockProblem {
    let one = CorrelatedLayer(seed: 1)
    let other = CorrelatedLayer(rows: 32, columns: 24, seed: 2)
    let half = Tensor(repeating: 0.5, shape: one.inputs.shape)
    let shifted = one.inputs + half
    var scheme = LayerScheme(weights: try scheme(bits: 3))
    if let inputBits {
      scheme.inputs = InputScheme(
        format: try IntegerFormat(bits: inputBits), granularity: .token, symmetric: false,
        dynamic: true)
    }
    let block = BlockSequence([
      LayerUnit(Linear(name: "first", weight: .dense(one.weights))),
      LayerUnit(
        Linear(
          name: "second", weight: .dense(other.weights),
          bias: Tensor((0..<32).map { Float($0) / 16 }))),
    ])
    let empty = Tensor(repeating: 0, shape: [one.length, 1])
    return BlockProblem(
      index: 0, block: block, schemes: ["first": scheme, "second": scheme],
      original: ActivationStream(activations: shifted, length: one.length),
      quantized: ActivationStream(activations: shifted * 1.1 + half * 0.2, length: one.length),
      targets: ActivationStream(activations: shifted, length: one.length),
      training: 0..<one.samples, heldOut: 0..<one.samples,
      makeContext: { ForwardContext(batch: $0, length: one.length, cosine: empty, sine: empty) },
      seed: 1, report: { _ in })
  }

  private func compensated(
    _ inputBits: Int?
  ) throws -> (problem: BlockProblem, solution: BlockSolution) {
    let problem = try problem(inputBits)
    var solution = try RoundToNearest().solve(problem)
    try solution.compensate(
      by: [lorc(4, aware: true), BiasCorrection()], problem, original: problem.block)
    return (problem, solution)
  }

  private func rounded(_ problem: BlockProblem) throws -> any TransformerBlock {
    let solution = try RoundToNearest().solve(problem)
    var block = problem.block
    block.forEachLinear { linear in
      if let layer = solution.layers[linear.name] { linear = layer.applied(to: linear) }
    }
    return block
  }

  /// Of each column, in `Double`.
  private func means(of tensor: Tensor) -> [Double] {
    let values = tensor.values
    return (0..<tensor.columns).map { j in
      stride(from: j, to: values.count, by: tensor.columns).reduce(0) { $0 + Double(values[$1]) }
        / Double(tensor.rows)
    }
  }
}
