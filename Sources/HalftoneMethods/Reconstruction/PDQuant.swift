public import HalftoneSchemes

/// Trains a rounding so that the network's prediction stays what it was, and the block's output beside
/// it, lest the few samples be learned by heart.
///
/// Liu, Niu, Yuan, Yang, Wang, Liu. *PD-Quant: Post-Training Quantization based on Prediction Difference
/// Metric.* CVPR 2023. <https://arxiv.org/abs/2212.07048>.
///
/// | Paper | Code             | Meaning                                                    |
/// | ----- | ---------------- | ---------------------------------------------------------- |
/// | L_PD  | ``PredictionDifference`` | KL of the network's predictions, this block quantized |
/// | λᵣ    | `regularization` | divides L_PD at the scale of the squared error, of weight 1 |
/// | T     | `temperature`    | of both predictions                                        |
/// | λ_c   | `correctionDistance` | how far corrected activations may go                   |
///
/// Activations are dropped at random as in ``QDrop`` for the squared error, not for the prediction.
///
/// Where this differs from the authors' code: L_PD is brought to the scale of the block's squared error
/// first, since that grows from block to block of a language model; the statistics of the distribution
/// correction, off by default, are not those of batch normalisation, which language models lack
/// (`DistributionCorrection`); the rounding may be FlexRound's.
public struct PDQuant: ConfigurableRoundingMethod, Equatable {
  public static let name = "pd-quant"
  public static let summary =
    "Trains a rounding on what it does to the network's predictions, and on the block's output."
  public static let citation =
    "Liu, Niu, Yuan, Yang, Wang, Liu. PD-Quant: Post-Training Quantization based on Prediction "
    + "Difference Metric. CVPR 2023. https://arxiv.org/abs/2212.07048"

  public var rounding = TrainedRounding.adaround
  /// λᵣ: the scaled prediction difference is divided by it; 0 leaves the block's error out.
  public var regularization: Float = 1
  public var temperature: Float = 1
  public var keepProbability: Float = 0.5
  public var iterations = 800
  public var batch = 4
  /// 0 for that of the rounding.
  public var learningRate: Float = 0
  public var inputLearningRate: Float = 4e-5
  /// λ, of AdaRound only, as the three below.
  public var penalty: Float = 100
  public var startExponent: Float = 20
  public var endExponent: Float = 2
  public var warmUp: Float = 0.2
  /// Steps of the distribution correction per batch; 0 does without.
  public var correctionIterations = 0
  public var correctionLearningRate: Float = 1e-3
  /// λ_c.
  public var correctionDistance: Float = 0.02

  public init() {}

  public var reach: TrainingReach { .laterBlocks }
  public var unit: ReconstructionUnit { .block }
  public var lastBlock: LastBlockObjective { .output }

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    try validateTraining()
    try schedule.validate(for: Self.name)
    guard (0...1).contains(keepProbability) else {
      throw SchemeError(
        "pd-quant: keep-probability is \(keepProbability); use 0 to 1, where 1 drops nothing")
    }
    guard regularization >= 0, temperature > 0, temperature.isFinite else {
      throw SchemeError("pd-quant: regularization must be from 0, temperature above 0")
    }
    guard correctionIterations >= 0, correctionLearningRate > 0, correctionDistance > 0 else {
      throw SchemeError(
        "pd-quant: correction-iterations must be from 0, the other correction keys above 0")
    }
  }

  public func reconstruction(of problem: BlockProblem) throws -> Reconstruction {
    var reconstruction = try standardReconstruction(of: problem)
    reconstruction.keptQuantized = keepProbability
    if let network = problem.network {
      let divergence = try LogitDivergence(
        problem, tail: NetworkTail(network, after: problem.index), temperature: temperature,
        scaledOn: batch)
      reconstruction.objective = PredictionDifference(divergence, regularization: regularization)
    }
    return reconstruction
  }

  public func solve(_ problem: BlockProblem) throws -> BlockSolution {
    let reconstruction = try reconstruction(of: problem)
    guard correctionIterations > 0 else { return try reconstruction.solve(problem, with: self) }
    let correction = DistributionCorrection(
      iterations: correctionIterations, batch: batch, learningRate: correctionLearningRate,
      distance: correctionDistance)
    return try reconstruction.solve(correction.corrected(problem), with: self)
  }
}
