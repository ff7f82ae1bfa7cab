public import HalftoneTensor

/// PD-Quant's loss: the unit's squared error, and the divergence of the network's predictions when the
/// unit alone is quantized.
///
/// L = MSE(ŷ, y) + (1/λᵣ)·KL(softmax(o/T) ‖ softmax(ô/T)). ŷ is the step's output, with activations
/// dropped; ô runs the unit on the pure Q stream and then the original network. Both terms are sums over
/// positions, averaged over samples; there is no factor T².
public struct PredictionDifference: ReconstructionObjective {
  private let divergence: LogitDivergence
  /// λᵣ; 0 leaves the squared error out, infinity the divergence.
  private let regularization: Float

  public init(_ divergence: LogitDivergence, regularization: Float) {
    self.divergence = divergence
    self.regularization = regularization
  }

  public func loss(_ step: ReconstructionStep) -> Tensor {
    let error = OutputMSE().loss(step)
    guard regularization < .infinity else { return error }
    let output = step.run(step.problem.quantized.gathering(step.samples))
    let difference = divergence.loss(of: output, step.samples, step.problem)
    return regularization > 0 ? error + difference * (1 / regularization) : difference
  }
}
