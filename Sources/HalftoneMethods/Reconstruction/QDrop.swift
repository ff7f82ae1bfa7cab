public import HalftoneSchemes

/// Trains a rounding while each activation is quantized only with a certain probability, so that the
/// weights fit many quantized inputs and not one.
///
/// Wei, Gong, Li, Liu, Yu. *QDrop: Randomly Dropping Quantization for Extremely Low-bit Post-Training
/// Quantization.* ICLR 2022. <https://arxiv.org/abs/2203.05740>.
///
/// | Code     | Meaning                                                                          |
/// | -------- | -------------------------------------------------------------------------------- |
/// | `keepProbability` | of an element to be the quantized one; the authors' `drop_prob`           |
/// | at a block's input | the Q stream's element is kept, else the FP stream's taken               |
/// | at a layer's input | the quantizer's output is kept, else its input taken                     |
/// | step of a fixed input quantizer | learned with the weights, by an Adam of its own (LSQ)       |
///
/// Coins are tossed anew for each element in each iteration. What is judged, stored and passed on is
/// the unit with everything quantized.
///
/// Where this differs from the authors' code: the unit is a transformer block; the rounding may be
/// FlexRound's, the setting that the FlexRound paper calls Q + FlexRound. With weights alone quantized
/// only the block's input is mixed; inputs with a grid per token have no step to learn.
public struct QDrop: ConfigurableRoundingMethod, Equatable {
  public static let name = "qdrop"
  public static let summary =
    "Trains a rounding with each activation quantized at random, so that codes fit more inputs."
  public static let citation =
    "Wei, Gong, Li, Liu, Yu. QDrop: Randomly Dropping Quantization for Extremely Low-bit "
    + "Post-Training Quantization. ICLR 2022. https://arxiv.org/abs/2203.05740"

  public var rounding = TrainedRounding.adaround
  /// The probability of an activation to be the quantized one; 1 drops nothing.
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
  public var unit = ReconstructionUnit.block
  public var lastBlock = LastBlockObjective.output

  public init() {}

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    try validateTraining()
    try schedule.validate(for: Self.name)
    guard (0...1).contains(keepProbability) else {
      throw SchemeError(
        "qdrop: keep-probability is \(keepProbability); use 0 to 1, where 1 drops nothing")
    }
  }

  public func reconstruction(of problem: BlockProblem) throws -> Reconstruction {
    var reconstruction = try standardReconstruction(of: problem)
    reconstruction.keptQuantized = keepProbability
    return reconstruction
  }
}
