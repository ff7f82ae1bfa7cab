import HalftoneLayers
public import HalftoneTensor

/// The squared error with each element weighted by the squared gradient of the original network's loss
/// there: Δzᵀ·diag((∂ℓ/∂z)²)·Δz, BRECQ's diagonal Fisher information.
///
/// ℓ is the cross-entropy of the next token of the calibration text. The weights are divided by their
/// mean, so that they change where errors count and not the loss's scale.
public struct FisherMSE: ReconstructionObjective {
  /// |∂ℓ/∂z| over its root mean square: [samples·length, width].
  private let weights: ActivationStream

  /// - Parameter gradients: ∂ℓ/∂z at the unit's outputs, as they come.
  /// - Throws: `MethodError` if they are all zero or not numbers.
  public init(gradients: ActivationStream) throws {
    let g = gradients.activations
    let meanSquare = g.squaredError(
      to: Tensor(repeating: 0, shape: g.shape), dividedBy: Float(max(1, g.count)))
    let scale = 1 / meanSquare.scalar.squareRoot()
    guard scale.isFinite, scale > 0 else {
      throw MethodError(
        "the gradients of the loss at the block's output are zero or not numbers; use fisher: false"
      )
    }
    weights = ActivationStream(activations: g.detached * scale, length: gradients.length)
  }

  /// The gradients at the outputs of `problem`'s block, which `tail` turns into predictions of `ids`.
  public init(_ tail: NetworkTail, ids: [Int], _ problem: BlockProblem) throws {
    var pieces: [Tensor] = []
    for sample in 0..<problem.targets.samples {
      pieces.append(try Self.gradient(of: sample, tail, ids, problem))
    }
    try self.init(
      gradients: ActivationStream(
        activations: .concatenating(pieces), length: problem.targets.length))
  }

  private static func gradient(
    of sample: Int, _ tail: NetworkTail, _ ids: [Int], _ problem: BlockProblem
  ) throws -> Tensor {
    let length = problem.targets.length
    guard length > 1 else {
      throw MethodError("samples of one token have no next token; use a longer length")
    }
    try problem.report(BlockProgress(fraction: 0))
    let z = problem.targets.samples(sample..<sample + 1).tracked()
    let next = Array(ids[sample * length + 1..<(sample + 1) * length])
    return tail.crossEntropy(of: z, next: next, problem.makeContext(1)).gradients(of: [z])[0]
  }

  public func loss(_ step: ReconstructionStep) -> Tensor {
    let root = weights.gathering(step.samples)
    return (step.output * root).squaredError(
      to: step.target * root, dividedBy: Float(step.samples.count * step.output.columns))
  }
}
