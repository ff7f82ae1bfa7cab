import HalftoneLayers
import HalftoneSchemes
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
    (self.problem, self.samples) = (problem, samples)
    (self.output, self.target, self.run) = (output, target, run)
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
  /// What enters the head in the original network.
  private let finals: ActivationStream
  /// Both logits are divided by it.
  private let temperature: Float
  /// What the loss is multiplied by.
  private var scale: Float = 1

  /// Of `problem`'s unit, whose outputs `tail` turns into predictions.
  ///
  /// By `batch` samples the divergence is brought to the scale of ``OutputMSE``, where penalties and
  /// learning rates are set; nil leaves it as it is.
  public init(
    _ problem: BlockProblem, tail: NetworkTail, temperature: Float = 1, scaledOn batch: Int? = nil
  ) throws {
    self.tail = tail
    self.temperature = temperature
    finals = tail.finals(problem.targets, problem)
    if let batch { scale = try scaleOfSquaredError(in: problem, batch: batch) }
  }

  public func loss(_ step: ReconstructionStep) -> Tensor {
    loss(of: step.output, step.samples, step.problem)
  }

  /// The divergence that outputs [samples.count·length, width] of the unit lead to, scaled.
  func loss(of output: Tensor, _ samples: [Int], _ problem: BlockProblem) -> Tensor {
    let divergence = divergence(of: output, samples, problem)
    return scale == 1 ? divergence : divergence * scale
  }

  private func divergence(
    of output: Tensor, _ samples: [Int], _ problem: BlockProblem
  ) -> Tensor {
    tail.divergence(
      of: output, from: finals.gathering(samples), problem.makeContext(samples.count),
      temperature: temperature) * Float(finals.length)
  }

  /// The squared error of `problem`'s block rounded to nearest over the divergence that it causes, on
  /// the first `batch` training samples; 1 where rounding changes nothing.
  ///
  /// Divergences may be hundreds of times smaller than squared errors.
  private func scaleOfSquaredError(in problem: BlockProblem, batch: Int) throws -> Float {
    let first = problem.training.lowerBound
    let samples = first..<min(first + batch, problem.training.upperBound)
    var rounded = problem.block
    try rounded.forEachLinear { linear in
      guard let scheme = problem.schemes[linear.name]?.weights else { return }
      let weight = try RoundToNearest.quantize(linear.weight.dense(), scheme)
      linear.weight = .dense(weight.dequantized())
    }
    let output = rounded(problem.quantized.samples(samples), problem.makeContext(samples.count))
    let target = problem.targets.samples(samples)
    let error = output.squaredError(
      to: target, dividedBy: Float(samples.count * output.columns)
    ).scalar
    let ratio = error / divergence(of: output, Array(samples), problem).scalar
    return ratio.isFinite && ratio > 0 ? ratio : 1
  }
}
