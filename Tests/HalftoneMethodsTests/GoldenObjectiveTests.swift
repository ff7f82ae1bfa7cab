import HalftoneLayers
import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// The objectives of reconstruction against torch in float64 (Scripts/golden/objectives.py).
@Suite struct GoldenObjectiveTests {
  private let golden: GoldenFile
  private let tail: NetworkTail
  private static let (samples, length) = (3, 4)

  init() throws {
    golden = try GoldenFile("Objectives/losses.safetensors")
    let linear = Linear(name: "tail", weight: .dense(try golden.floats("tail")))
    tail = NetworkTail(
      blocks: [LayerUnit(linear)], head: MatrixHead(weight: try golden.floats("head")))
  }

  private func stream(_ name: String) throws -> ActivationStream {
    ActivationStream(activations: try golden.floats(name), length: Self.length)
  }

  /// All samples at once, the unit's output on the Q stream being `pure`.
  private func step(output: Tensor, pure: Tensor) throws -> ReconstructionStep {
    let (length, target) = (Self.length, try stream("target"))
    let empty = Tensor(repeating: 0, shape: [length, 1])
    let problem = BlockProblem(
      index: 0, block: BlockSequence([]), schemes: [:], original: target, quantized: target,
      targets: target, training: 0..<Self.samples, heldOut: 0..<0,
      makeContext: { ForwardContext(batch: $0, length: length, cosine: empty, sine: empty) },
      seed: 0, report: { _ in })
    return ReconstructionStep(
      problem: problem, samples: Array(0..<Self.samples), output: output,
      target: target.activations, run: { _ in pure })
  }

  @Test func predictionDifference() throws {
    let leaves = try ["output", "pure"].map { try golden.floats($0).tracked() }
    let step = try step(output: leaves[0], pure: leaves[1])
    var problem = step.problem
    problem.targets = try stream("reference")
    let loss = PredictionDifference(
      try LogitDivergence(problem, tail: tail, temperature: 4), regularization: 0.25
    ).loss(step)
    expectClose([loss.scalar], try golden.floats("difference").values, tolerance: 1e-5)
    let gradients = loss.gradients(of: leaves)
    expectClose(gradients[0], try golden.floats("difference_doutput"), tolerance: 1e-5)
    expectClose(gradients[1], try golden.floats("difference_dpure"), tolerance: 1e-5)
    let error = OutputMSE().loss(step)
    expectClose([error.scalar], try golden.floats("error").values, tolerance: 1e-5)
  }

  @Test func logitDivergence() throws {
    let pure = try golden.floats("pure")
    let step = try step(output: pure, pure: pure)
    var problem = step.problem
    problem.targets = try stream("reference")
    let loss = try LogitDivergence(problem, tail: tail, temperature: 4).loss(step)
    expectClose([loss.scalar], try golden.floats("divergence").values, tolerance: 1e-5)
  }

  @Test func fisherWeights() throws {
    let output = try golden.floats("output").tracked()
    let step = try step(output: output, pure: output)
    let objective = try FisherMSE(tail, ids: golden.integers("ids"), step.problem)
    let loss = objective.loss(step)
    expectClose([loss.scalar], try golden.floats("fisher").values, tolerance: 1e-5)
    expectClose(
      loss.gradients(of: [output])[0], try golden.floats("fisher_doutput"), tolerance: 1e-5)
  }

  @Test func momentsOfSamples() throws {
    let x = try golden.floats("target").tracked()
    let found = DistributionCorrection.moments(of: x, samples: Self.samples)
    expectClose(found.mean, try golden.floats("mean"), tolerance: 1e-5)
    expectClose(found.deviation, try golden.floats("deviation"), tolerance: 1e-5)
    let weights = try golden.floats("moment_weights")
    let total = (weights * (found.mean + found.deviation)).sum()
    expectClose(total.gradients(of: [x])[0], try golden.floats("moments_dx"), tolerance: 1e-4)
  }
}
