import HalftoneLayers
public import HalftoneSchemes
public import HalftoneTensor

/// Trains overlapping windows of blocks, each against the output of the original blocks.
///
/// Ding, Liu, Tu, Zhang, Li, Hu, Chen, Tang, Xiong, Yin, Wang. *CBQ: Cross-Block Quantization for Large
/// Language Models.* ICLR 2025. <https://arxiv.org/abs/2312.07950>.
///
/// | Paper             | Code                         | Shape                      |
/// | ----------------- | ---------------------------- | -------------------------- |
/// | V = A1·A2         | `LoRARounding`               | [out, rank], [rank, in]    |
/// | S_W               | `LoRARounding`               | [1, 1], [out, 1] or [out, groups] |
/// | S_X               | steps of fixed input quantizers | [1]                     |
/// | E(h₁, h₂)         | `DistributionObjective`      |                            |
/// | L_com             | `AdaRoundSchedule`           |                            |
/// | i…k               | `WindowSchedule`             |                            |
///
/// A block that two windows share is trained in both; the second goes on from the state the first left.
/// The outliers' treatment that comes before is the step `truncate-outliers`.
public struct CBQ: ReconstructionMethod, AnnealedMethod, Equatable {
  public static let name = "cbq"
  public static let summary =
    "Trains overlapping windows of blocks, so that neighbours make up for each other."
  public static let citation =
    "Ding et al. CBQ: Cross-Block Quantization for Large Language Models. ICLR 2025. "
    + "https://arxiv.org/abs/2312.07950"

  /// What is learned for each weight matrix.
  public enum Rounding: String, RecipeWord {
    /// AdaRound's V of low rank, and the step.
    case lora
    /// AdaRound's V, the grid fixed.
    case adaround
    /// FlexRound's scales and the step.
    case flexround
  }

  /// Blocks trained together.
  public var window = 2
  /// Blocks that a window shares with the one before.
  public var overlap = 1
  /// The paper's is `lora`; by our measurements `flexround` serves windows better.
  public var rounding = Rounding.flexround
  /// Of A1·A2.
  public var rank = 5
  /// Whether the step is learned.
  public var learnGrid = true
  /// Whether weights of `lora` are rounded in training as they will be.
  public var straightThrough = true
  /// Optimiser steps per window.
  public var iterations = 800
  public var batch = 4
  /// 0 for that of the rounding.
  public var learningRate: Float = 0
  public var inputLearningRate: Float = 4e-5
  /// κ: of the divergence beside the squared error.
  public var divergence: Float = 1
  /// Of the same objective with the FP stream as the window's input; 0 for none.
  public var homologous: Float = 0
  /// c, of L_com.
  public var penalty: Float = 0
  public var startExponent: Float = 20
  public var endExponent: Float = 2
  public var warmUp: Float = 0.2
  public var lastBlock = LastBlockObjective.output

  public init() {}

  public var unit: ReconstructionUnit { .block }
  public var blocksAtOnce: Int? { window }
  public var rate: Float {
    guard learningRate == 0 else { return learningRate }
    switch rounding {
    case .lora: return 1e-2
    case .adaround: return AdaRound().learningRate
    case .flexround: return FlexRound().learningRate
    }
  }

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    try validateTraining()
    try schedule.validate(for: Self.name)
    guard window > 0, (0..<window).contains(overlap) else {
      throw SchemeError(
        "cbq: window is \(window) and overlap \(overlap); a window has at least 1 block and shares "
          + "fewer than it has")
    }
    guard divergence >= 0, homologous >= 0 else {
      throw SchemeError("cbq: divergence and homologous are weights; use 0 or more")
    }
    let isSoft = rounding == .adaround || rounding == .lora && !straightThrough
    guard !isSoft || penalty > 0 else {
      throw SchemeError(
        "cbq: penalty is 0, which leaves soft weights of rounding: \(rounding.rawValue) between codes; "
          + "use a penalty such as \(AdaRound().penalty)")
    }
    guard rounding != .lora || (1...max(1, min(rows, columns))).contains(rank) else {
      throw SchemeError(
        "cbq: rank is \(rank), but a layer of \(rows)×\(columns) has ranks from 1 to "
          + "\(min(rows, columns)); lower rank")
    }
  }

  public func variables(
    for weights: Tensor, _ scheme: WeightScheme
  ) throws -> any RoundingVariables {
    switch rounding {
    case .lora:
      return try LoRARounding(
        rank: rank, learnGrid: learnGrid, straightThrough: straightThrough, schedule: schedule
      ).variables(for: weights, scheme)
    case .adaround:
      return try TrainedRounding.adaround.variables(for: weights, scheme, schedule)
    case .flexround:
      var method = FlexRound()
      method.learnGrid = learnGrid
      return try method.variables(for: weights, scheme)
    }
  }

  public func solve(_ problem: BlockProblem) throws -> BlockSolution {
    let blocks = problem.network?.model.blockCount
    if let blocks, window > blocks {
      throw MethodError(
        "cbq: window is \(window), but the model has \(blocks) blocks; set window to at most "
          + "\(blocks)")
    }
    let carried = CarriedLayers(problem.carried)
    guard let window = span(of: problem, carried) else { return try finished(problem, carried) }
    return try trained(problem, window, carried)
  }

  /// The window to train at `problem`'s block; nil if an earlier one has trained the block to its end.
  private func span(of problem: BlockProblem, _ carried: CarriedLayers) -> Range<Int>? {
    let first = problem.index
    guard let blocks = problem.network?.model.blockCount else { return first..<first + 1 }
    let windows = WindowSchedule(size: window, overlap: overlap, blocks: blocks)
    if let window = windows.window(from: first) { return window }
    // Where the recipe leaves out the block at which a window would have begun.
    let isTrained = problem.schemes.allSatisfy {
      $1.weights == nil || carried.leaves(of: $0) != nil
    }
    return isTrained ? nil : first..<min(first + window, blocks)
  }

  private func trained(
    _ problem: BlockProblem, _ window: Range<Int>, _ carried: CarriedLayers
  ) throws -> BlockSolution {
    let joined = try problem.joined(over: window)
    var start: [String: [Tensor]] = [:]
    var inputs: [String: InputQuantizer] = [:]
    for layer in joined.schemes.keys {
      start[layer] = carried.leaves(of: layer)
      inputs[layer] = carried.inputs(of: layer, joined.schemes[layer]?.inputs)
    }
    let training = try reconstruction(of: joined, last: window.upperBound - 1)
    var result = try training.train(joined, with: self, from: start, inputs: inputs)
    var kept = CarriedLayers()
    for (layer, leaves) in result.leaves where problem.schemes[layer] == nil {
      kept.keep(leaves, result.solution.layers[layer]?.inputs, of: layer)
      result.solution.layers[layer] = nil
    }
    result.solution.carried = kept.tensors
    return result.solution
  }

  private func reconstruction(of problem: BlockProblem, last: Int) throws -> Reconstruction {
    var reconstruction = try standardReconstruction(of: problem, last: last)
    if reconstruction.objective is OutputMSE {
      reconstruction.objective = DistributionObjective(
        divergenceWeight: divergence, homologousWeight: homologous)
    }
    return reconstruction
  }

  /// The block as an earlier window left it.
  private func finished(
    _ problem: BlockProblem, _ carried: CarriedLayers
  ) throws -> BlockSolution {
    var solution = BlockSolution(layers: [:])
    for linear in problem.block.linears {
      guard let layer = problem.schemes[linear.name], let scheme = layer.weights,
        let leaves = carried.leaves(of: linear.name)
      else { continue }
      var state = try variables(for: linear.weight.dense(), scheme)
      state.leaves = leaves.map { $0.tracked() }
      solution.layers[linear.name] = LayerSolution(
        weight: try state.quantized(),
        inputs: carried.inputs(of: linear.name, layer.inputs) ?? layer.inputs?.dynamicQuantizer)
    }
    try problem.report(BlockProgress(fraction: 1))
    return solution
  }
}
