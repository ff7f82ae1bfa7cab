public import HalftoneTensor

/// What an objective may look at in one iteration.
public struct ReconstructionStep {
  public let problem: BlockProblem
  /// The samples of this iteration, in the order of the rows of `output`.
  public let samples: [Int]
  /// Of the unit as it stands on the iteration's inputs: [samples·length, width].
  public let output: Tensor
  /// Of the original unit on the FP stream, shaped as `output`.
  public let target: Tensor
  /// The unit as it stands on other inputs [samples·length, width], with nothing dropped.
  public let run: (Tensor) -> Tensor

  package init(
    problem: BlockProblem, samples: [Int], output: Tensor, target: Tensor,
    run: @escaping (Tensor) -> Tensor
  ) {
    self.problem = problem
    self.samples = samples
    self.output = output
    self.target = target
    self.run = run
  }
}

/// How far the output of a quantized unit is from what it should be.
public protocol ReconstructionObjective {
  /// A tensor of one element, differentiable in the step's output and in what `run` returns.
  func loss(_ step: ReconstructionStep) throws -> Tensor
}

/// The squared error summed over positions, averaged over samples and channels.
///
/// The scale of the released FlexRound and QDrop code (sum over axis 1, mean over the rest), which
/// fixes the weight of any penalty beside it.
public struct OutputMSE: ReconstructionObjective {
  public init() {}

  public func loss(_ step: ReconstructionStep) -> Tensor {
    step.output.squaredError(
      to: step.target, dividedBy: Float(step.samples.count * step.output.columns))
  }
}

/// The divergence of the network's predictions from the original's, run from the unit's output
/// through everything after it: KL(p ‖ q) summed over positions, averaged over samples.
///
/// For the last block this is the objective of LFQ: final norm and head in the forward pass, and the
/// cross-entropy to the original's distribution, which differs from KL by a constant.
public struct LogitDivergence: ReconstructionObjective {
  private let tail: NetworkTail
  /// Both logits are divided by it.
  private let temperature: Float

  public init(tail: NetworkTail, temperature: Float = 1) {
    self.tail = tail
    self.temperature = temperature
  }

  public func loss(_ step: ReconstructionStep) throws -> Tensor {
    divergence(of: step.output, from: step.target, step)
  }

  /// The same for other outputs of the unit and of the original.
  func divergence(of output: Tensor, from target: Tensor, _ step: ReconstructionStep) -> Tensor {
    let context = step.problem.makeContext(step.samples.count)
    let (q, p) = (tail.logits(output, context), tail.logits(target, context))
    let (scaledQ, scaledP) =
      temperature == 1 ? (q, p) : (q * (1 / temperature), p * (1 / temperature))
    return scaledQ.klDivergence(from: scaledP) * Float(step.problem.targets.length)
  }
}
