public import HalftoneTensor

/// PD-Quant's loss: the unit's squared error, and the divergence of the network's predictions when the
/// unit alone is quantized.
///
/// L = MSE(ŷ, y) + (1/λᵣ)·KL(softmax(o/T) ‖ softmax(ô/T)). ŷ is the step's output, with activations
/// dropped; ô runs the unit on the pure Q stream and then the original network. Both terms are sums over
/// positions, averaged over samples; there is no factor T².
public struct PredictionDifference: ReconstructionObjective {
  private let divergence: LogitDivergence
  /// The unit's outputs that lead to o.
  private let reference: ActivationStream
  /// λᵣ; 0 leaves the squared error out, infinity the divergence.
  private let regularization: Float
  /// What the divergence is multiplied by.
  private let scale: Float

  /// `reference`: the outputs of the original unit on the original network's activations.
  public init(
    tail: NetworkTail, reference: ActivationStream, regularization: Float, temperature: Float,
    scale: Float = 1
  ) {
    divergence = LogitDivergence(tail: tail, temperature: temperature)
    self.reference = reference
    self.regularization = regularization
    self.scale = scale
  }

  public func loss(_ step: ReconstructionStep) -> Tensor {
    let error = OutputMSE().loss(step)
    guard regularization < .infinity else { return error }
    let output = step.run(step.problem.quantized.gathering(step.samples))
    let difference = divergence.divergence(
      of: output, from: reference.gathering(step.samples), step.problem)
    return regularization > 0 ? error + difference * (scale / regularization) : difference * scale
  }
}
