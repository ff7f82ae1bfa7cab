package import HalftoneTensor

/// CBQ's objective: E(h₁, h₂) = ‖h₁ − h₂‖² + κ·KL(softmax h₁ ‖ softmax h₂), the softmax over channels.
///
/// Both are summed over positions and averaged over samples and channels, as ``OutputMSE`` is, so that
/// κ = 1 weighs them as the paper does. A second term of the same form runs the unit on the FP stream
/// (the homologous stream: both networks read the same input).
package struct DistributionObjective: ReconstructionObjective {
  /// κ.
  package var divergenceWeight: Float
  /// Of the second term; 0 for none.
  package var homologousWeight: Float

  package init(divergenceWeight: Float, homologousWeight: Float) {
    (self.divergenceWeight, self.homologousWeight) = (divergenceWeight, homologousWeight)
  }

  package func loss(_ step: ReconstructionStep) throws -> Tensor {
    let loss = distance(of: step.output, step)
    guard homologousWeight > 0 else { return loss }
    let output = step.run(step.problem.original.gathering(step.samples))
    return loss + distance(of: output, step) * homologousWeight
  }

  private func distance(of output: Tensor, _ step: ReconstructionStep) -> Tensor {
    let square = output.squaredError(
      to: step.target, dividedBy: Float(step.samples.count * output.columns))
    guard divergenceWeight > 0 else { return square }
    // klDivergence averages over positions.
    let scale = Float(step.problem.targets.length) / Float(output.columns)
    return square + output.klDivergence(from: step.target) * (divergenceWeight * scale)
  }
}
