import HalftoneLayers
public import HalftoneSchemes

/// Trains the rounding of all layers of a block against the block's output, then the steps of its
/// inputs with the codes fixed.
///
/// Li, Gong, Tan, Yang, Hu, Zhang, Yu, Wang, Gu. *BRECQ: Pushing the Limit of Post-Training Quantization
/// by Block Reconstruction.* ICLR 2021. <https://arxiv.org/abs/2102.05426>.
///
/// | Paper          | Code                 | Shape                    |
/// | -------------- | -------------------- | ------------------------ |
/// | Δz             | `output − target`    | [samples·length, hidden] |
/// | ∂ℓ/∂z          | ``FisherMSE``        | [samples·length, hidden] |
///
/// The loss is Δzᵀ·diag((∂ℓ/∂z)²)·Δz with `fisher`, else ‖Δz‖², which is what the released code does
/// by default. Stage 1 trains the rounding with the block's inputs as they are; stage 2, where inputs
/// have fixed steps, trains those with the final codes in place.
///
/// Where this differs from the authors' code: both stages are done before the next block begins; ℓ is
/// the cross-entropy of the next token; the rounding may be FlexRound's.
public struct BRECQ: ConfigurableRoundingMethod, Equatable {
  public static let name = "brecq"
  public static let summary =
    "Trains a rounding on a block's output, where asked weighted by Fisher information; then inputs."
  public static let citation =
    "Li, Gong, Tan, Yang, Hu, Zhang, Yu, Wang, Gu. BRECQ: Pushing the Limit of Post-Training "
    + "Quantization by Block Reconstruction. ICLR 2021. https://arxiv.org/abs/2102.05426"

  public var rounding = TrainedRounding.adaround
  /// Whether errors are weighted by the squared gradient of the network's loss.
  public var fisher = false
  public var iterations = 800
  public var batch = 4
  /// 0 for that of the rounding.
  public var learningRate: Float = 0
  /// Steps of the second stage.
  public var inputIterations = 200
  public var inputLearningRate: Float = 4e-4
  /// λ, of AdaRound only, as the three below.
  public var penalty: Float = 100
  public var startExponent: Float = 20
  public var endExponent: Float = 2
  public var warmUp: Float = 0.2
  public var lastBlock = LastBlockObjective.output

  public init() {}

  public var unit: ReconstructionUnit { .block }
  public var reach: TrainingReach { fisher ? .laterBlocks : lastBlock.reach }

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    try validateTraining()
    try schedule.validate(for: Self.name)
    guard inputIterations >= 0 else {
      throw SchemeError("brecq: input-iterations is \(inputIterations); use 0 or more")
    }
  }

  public func reconstruction(of problem: BlockProblem) throws -> Reconstruction {
    var reconstruction = try standardReconstruction(of: problem)
    if fisher, reconstruction.objective is OutputMSE, let network = problem.network {
      let tail = try NetworkTail(network, after: problem.index)
      reconstruction.objective = try FisherMSE(tail, ids: network.ids, problem)
    }
    return reconstruction
  }

  public func solve(_ problem: BlockProblem) throws -> BlockSolution {
    let reconstruction = try reconstruction(of: problem)
    let inputs = problem.schemes.values.compactMap(\.inputs)
    let second = inputs.contains { !$0.dynamic } ? inputIterations : 0
    let share = Double(iterations) / Double(iterations + second)
    var weights = problem
    weights.schemes = problem.schemes.mapValues { LayerScheme(weights: $0.weights) }
    weights.report = { try problem.report($0.scaled(by: share)) }
    var solution = try reconstruction.train(weights, with: self).solution
    guard !inputs.isEmpty else { return solution }
    var steps = reconstruction
    steps.iterations = second
    try learnInputs(of: &solution, problem, steps, from: share)
    return solution
  }

  /// The second stage: the steps of fixed inputs, with the codes of `solution` in place.
  private func learnInputs(
    of solution: inout BlockSolution, _ problem: BlockProblem, _ reconstruction: Reconstruction,
    from share: Double
  ) throws {
    var hard = problem
    hard.schemes = problem.schemes.mapValues { LayerScheme(weights: nil, inputs: $0.inputs) }
    hard.block.forEachLinear { linear in
      guard let layer = solution.layers[linear.name] else { return }
      linear.weight = .dense(layer.weight.dequantized())
    }
    hard.report = { try problem.report($0.scaled(by: 1 - share, from: share)) }
    let learned = try reconstruction.train(hard, with: self)
    for name in solution.layers.keys {
      solution.layers[name]?.inputs = learned.inputs[name]
      if let warning = learned.warning { solution.layers[name]?.warnings.append(warning) }
    }
    solution.iterations += learned.solution.iterations
    solution.heldOutLast = learned.solution.heldOutLast
  }
}

extension BlockProgress {
  /// This progress as `share` of a longer work, after `start` of it.
  func scaled(by share: Double, from start: Double = 0) -> BlockProgress {
    BlockProgress(fraction: start + share * fraction, loss: loss)
  }
}
