public import HalftoneTensor
public import HalftoneLayers
import HalftoneSchemes

/// Trains a learnable rounding so that a unit of the network keeps its output.
///
/// The loop of BRECQ (Li et al. 2021), which FlexRound and its relatives share: batches of the Q
/// stream go in, the original unit's outputs on the FP stream are the target, an optimiser moves the
/// rounding variables and the steps of fixed input quantizers. A unit is anything with the shape of a
/// block: a layer, a block, several blocks in a row.
///
/// The unit's loss with hard codes on held-out samples is looked at before the first and after every
/// fifth of the iterations. A training whose loss rises tenfold, or stops being a number, ends there and
/// keeps the best of these states, with a warning.
public struct Reconstruction {
  public var iterations: Int
  /// Samples per iteration, drawn without replacement.
  public var batch: Int
  public var learningRate: Float
  /// The step size for fixed input quantizers: QDrop's LSQ setting.
  public var inputLearningRate: Float = 4e-5
  public var unit = ReconstructionUnit.block
  public var objective: any ReconstructionObjective = OutputMSE()
  public var optimizer = OptimizerKind.adam
  /// The probability with which an element of the unit's input is taken from the Q stream instead of
  /// the FP stream, and one of a layer's input is quantized: 1, or QDrop's ½.
  public var keptQuantized: Float = 1
  /// Whether the state with the least loss is kept in place of the last one (SignRound).
  public var keepsBest = false

  /// How gradients move the variables.
  public enum OptimizerKind: Sendable {
    /// Adam, the rate falling along a cosine.
    case adam
    /// θ − rate·sign(gradient), the rate falling linearly (SignSGD).
    case sign
  }

  /// What a training leaves.
  public struct Result {
    public var solution: BlockSolution
    /// The final leaves of each layer's rounding variables.
    public var leaves: [String: [Tensor]]
    /// The input quantizers of all layers that have one, also of layers whose weights have no scheme.
    public var inputs: [String: InputQuantizer]
    /// Why the training ended early, if it did.
    public var warning: String?
  }

  public init(iterations: Int, batch: Int, learningRate: Float) {
    self.iterations = iterations
    self.batch = batch
    self.learningRate = learningRate
  }

  /// Learns the codes of all layers of `problem.block` that have a scheme for their weights.
  public func solve(
    _ problem: BlockProblem, with rounding: some LearnableRounding
  ) throws -> BlockSolution {
    switch unit {
    case .block: try train(problem, with: rounding).solution
    case .layer: try solveLayers(problem, with: rounding)
    }
  }

  /// Trains `problem.block` as one unit; layers in `start` begin with these leaves, those in `inputs`
  /// with these input quantizers.
  public func train(
    _ problem: BlockProblem, with rounding: some LearnableRounding,
    from start: [String: [Tensor]] = [:], inputs: [String: InputQuantizer] = [:]
  ) throws -> Result {
    var run = TrainingRun(
      settings: self, problem: problem, unit: try TrainedUnit(problem, rounding, start, inputs))
    try run.keepState(after: 0)
    for step in 0..<iterations {
      guard try run.step(step) else { break }
      if (step + 1) % max(1, iterations / 5) == 0 { try run.keepState(after: step + 1) }
    }
    return try run.result()
  }
}

/// One unit's training under way.
private struct TrainingRun: ~Copyable {
  let settings: Reconstruction
  let problem: BlockProblem
  var unit: TrainedUnit
  private var generator: SeededGenerator
  private var optimizer: UnitOptimizer
  private var watch = LossWatch()
  private var done = 0
  /// The loss with hard codes on held-out samples before the first iteration.
  private var heldOutFirst: Float?
  /// Of the states looked at.
  private var best: (iteration: Int, loss: Float, leaves: [Tensor])
  private var leastBatch: (loss: Float, leaves: [Tensor])?

  init(settings: Reconstruction, problem: BlockProblem, unit: consuming TrainedUnit) {
    self.settings = settings
    self.problem = problem
    optimizer = UnitOptimizer(settings)
    best = (0, .infinity, unit.leaves)
    self.unit = unit
    generator = SeededGenerator(seed: problem.seed &+ UInt64(problem.index) &* 0x9E37_79B9)
  }

  /// One iteration; false if the training must end before it.
  mutating func step(_ step: Int) throws -> Bool {
    guard let loss = try problem.precision.during({ try iterate(step) }) else { return false }
    try problem.report(
      BlockProgress(fraction: Double(done) / Double(settings.iterations), loss: loss))
    return true
  }

  /// The loss that was found; nil if the training must end.
  private mutating func iterate(_ step: Int) throws -> Float? {
    let samples = generator.draw(settings.batch, from: problem.training)
    let mixing = settings.keptQuantized < 1 ? generator.next() : nil
    let error = try settings.objective.loss(
      unit.step(samples, keeping: settings.keptQuantized, seed: mixing))
    guard watch.note(error.scalar, step, hard: heldOutFirst) else { return nil }
    let penalties = unit.penalties(progress: Float(step) / Float(settings.iterations))
    let loss = penalties.reduce(error, +)
    let gradients = loss.gradients(of: unit.leaves)
    guard watch.note(gradientsAreFinite: gradients.allSatisfy(\.isFinite), step) else {
      return nil
    }
    if settings.keepsBest, error.scalar < leastBatch?.loss ?? .infinity {
      leastBatch = (error.scalar, unit.leaves)
    }
    optimizer.update(&unit, gradients, step: step)
    done = step + 1
    return error.scalar
  }

  /// Measures the unit with hard codes on held-out samples and remembers the best state.
  mutating func keepState(after iteration: Int) throws {
    guard let loss = try heldOutLoss() else { return }
    if iteration == 0 { heldOutFirst = loss }
    if loss < best.loss { best = (iteration, loss, unit.leaves) }
  }

  /// nil without held-out samples.
  private func heldOutLoss() throws -> Float? {
    let samples = Array(problem.heldOut.prefix(settings.batch))
    guard !samples.isEmpty else { return nil }
    return try settings.objective.loss(unit.hardStep(samples)).scalar
  }

  mutating func result() throws -> Reconstruction.Result {
    if watch.failure != nil {
      unit.leaves = best.leaves
    } else if let leastBatch {
      unit.leaves = leastBatch.leaves
    }
    var solution = try unit.solution()
    let failure = watch.warning(keeping: best.iteration)
    let unsettled = solution.settled.flatMap {
      BlockSolution.unsettled($0, remedy: "more iterations or a higher penalty")
    }
    if let warning = failure ?? unsettled {
      for name in solution.layers.keys { solution.layers[name]?.warnings.append(warning) }
    }
    (solution.lossFirst, solution.lossLast, solution.iterations) = (watch.first, watch.last, done)
    (solution.heldOutFirst, solution.heldOutLast) = (heldOutFirst, try heldOutLoss())
    return Reconstruction.Result(
      solution: solution, leaves: unit.leavesByLayer, inputs: unit.inputQuantizers, warning: failure
    )
  }
}
