public import HalftoneSchemes
import HalftoneLayers

/// A method that is a learnable rounding trained by ``Reconstruction``: the hyperparameters that all
/// of them have, and how they become a training.
public protocol ReconstructionMethod: QuantizationMethod, LearnableRounding {
  /// Steps of the optimiser per unit.
  var iterations: Int { get set }
  /// Samples per iteration.
  var batch: Int { get }
  var learningRate: Float { get }
  /// The learning rate that is used, `learningRate` unless a method has several defaults.
  var rate: Float { get }
  /// The step size for the grids of fixed input quantizers (LSQ).
  var inputLearningRate: Float { get }
  var unit: ReconstructionUnit { get }
  var lastBlock: LastBlockObjective { get }
  /// The training of one block; `standardReconstruction(of:)` unless a method differs.
  func reconstruction(of problem: BlockProblem) throws -> Reconstruction
}

/// What is trained at a time.
public enum ReconstructionUnit: String, RecipeWord {
  /// All layers of a block together, against the block's output.
  case block
  /// One layer after another, each against its own output.
  case layer
}

/// What the last block is trained against.
public enum LastBlockObjective: String, RecipeWord {
  /// Its output, as every other block.
  case output
  /// The original's predictions: the final norm and the head are part of the objective.
  case logits

  var reach: TrainingReach { self == .logits ? .head : .blocks }
}

extension ReconstructionMethod {
  public static var needsCalibration: Bool { true }
  public static var usesSeed: Bool { true }
  public var reach: TrainingReach { lastBlock.reach }
  public var rate: Float { learningRate }

  public func reconstruction(of problem: BlockProblem) throws -> Reconstruction {
    try standardReconstruction(of: problem)
  }

  /// Output MSE, or the divergence of the logits for the last block where that is asked for.
  ///
  /// `last` is the last block of `problem`'s unit; nil where the unit is the block.
  public func standardReconstruction(
    of problem: BlockProblem, last: Int? = nil
  ) throws -> Reconstruction {
    let last = last ?? problem.index
    var reconstruction = Reconstruction(
      iterations: iterations, batch: batch, learningRate: rate)
    reconstruction.inputLearningRate = inputLearningRate
    reconstruction.unit = unit
    if lastBlock == .logits, let network = problem.network, last == network.model.blockCount - 1 {
      reconstruction.objective = try LogitDivergence(
        problem, tail: NetworkTail(network, after: last), scaledOn: batch)
    }
    return reconstruction
  }

  public func solve(_ problem: BlockProblem) throws -> BlockSolution {
    try reconstruction(of: problem).solve(problem, with: self)
  }

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    try validateTraining()
  }

  /// Checks the hyperparameters that all learned roundings share.
  public func validateTraining() throws(SchemeError) {
    let method = Self.name
    guard iterations > 0 else {
      throw SchemeError("\(method): iterations is \(iterations); use at least 1, or the method rtn")
    }
    guard batch > 0 else { throw SchemeError("\(method): batch is \(batch); use at least 1") }
    guard rate > 0, rate.isFinite else {
      throw SchemeError("\(method): learning-rate is \(learningRate); use a positive number")
    }
    guard inputLearningRate >= 0, inputLearningRate.isFinite else {
      throw SchemeError("\(method): input-learning-rate is \(inputLearningRate); use 0 or more")
    }
    guard lastBlock == .output || unit == .block else {
      throw SchemeError(
        "\(method): last-block: logits needs unit: block; a layer has no predictions of its own")
    }
  }
}
