public import HalftoneTensor

/// How far the output of a quantized unit is from what it should be.
public protocol ReconstructionObjective: Sendable {
  /// A tensor of one element, from outputs and targets [tokens, hidden] of `samples` sequences.
  func loss(_ output: Tensor, _ target: Tensor, samples: Int) -> Tensor
}

/// The squared error summed over positions, averaged over samples and channels.
///
/// The scale of the released FlexRound and QDrop code (sum over axis 1, mean over the rest), which
/// fixes the weight of any penalty beside it.
public struct OutputMSE: ReconstructionObjective {
  public init() {}

  public func loss(_ output: Tensor, _ target: Tensor, samples: Int) -> Tensor {
    output.squaredError(to: target, dividedBy: Float(samples * output.columns))
  }
}
