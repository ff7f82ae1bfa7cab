import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

/// Trains a learnable rounding so that a unit of the network keeps its output.
///
/// The loop of BRECQ (Li et al. 2021), which FlexRound and its relatives share: batches of the Q
/// stream go in, the original unit's outputs on the FP stream are the target, Adam with a cosine
/// schedule moves the rounding variables and the steps of fixed input quantizers. A unit is anything
/// with the shape of a block: a layer, a block, several blocks in a row.
public struct Reconstruction {
  public var iterations: Int
  /// Samples per iteration, drawn without replacement.
  public var batch: Int
  public var learningRate: Float
  /// The step size for fixed input quantizers: QDrop's LSQ setting.
  public var inputLearningRate: Float = 4e-5
  public var objective: any ReconstructionObjective = OutputMSE()

  public init(iterations: Int, batch: Int, learningRate: Float) {
    self.iterations = iterations
    self.batch = batch
    self.learningRate = learningRate
  }

  /// Learns the codes of all layers of `problem.block` that have a scheme for their weights.
  ///
  /// A loss that stops being a number ends the training of the unit, and its layers fall back to
  /// round-to-nearest with a warning.
  public func solve(
    _ problem: BlockProblem, with rounding: some LearnableRounding
  ) throws -> BlockSolution {
    var unit = try ReconstructionUnit(problem, rounding)
    var generator = SeededGenerator(seed: problem.seed &+ UInt64(problem.index) &* 0x9E37_79B9)
    var optimizer = Adam()
    let schedule = CosineSchedule(start: learningRate, steps: max(1, iterations))
    let inputSchedule = CosineSchedule(start: inputLearningRate, steps: max(1, iterations))
    var first: Float?
    var last: Float?
    for step in 0..<iterations {
      let samples = draw(from: problem.training, &generator)
      let target = problem.targets.gathering(samples)
      let output = unit.output(
        problem.quantized.gathering(samples), problem.makeContext(samples.count))
      let error = objective.loss(output, target, samples: samples.count)
      guard error.scalar.isFinite else { return try unit.fallback(at: step) }
      if first == nil { first = error.scalar }
      last = last.map { 0.95 * $0 + 0.05 * error.scalar } ?? error.scalar
      let penalties = unit.penalties(progress: Float(step) / Float(iterations))
      let loss = penalties.reduce(error, +)
      let gradients = loss.gradients(of: unit.leaves)
      unit.update(
        &optimizer, gradients, rate: schedule.rate(at: step),
        inputRate: inputSchedule.rate(at: step))
      try problem.report(
        BlockProgress(fraction: Double(step + 1) / Double(iterations), loss: error.scalar))
    }
    var solution = try unit.solution()
    (solution.lossFirst, solution.lossLast, solution.iterations) = (first, last, iterations)
    return solution
  }

  private func draw(from training: Range<Int>, _ generator: inout SeededGenerator) -> [Int] {
    var pool = Array(training)
    let count = min(batch, pool.count)
    for i in 0..<count { pool.swapAt(i, i + generator.below(pool.count - i)) }
    return Array(pool.prefix(count))
  }
}

/// The block being trained: its layers, each with rounding variables and perhaps a learned input step.
private struct ReconstructionUnit {
  private var block: any TransformerBlock
  private var variables: [(name: String, state: any RoundingVariables)] = []
  /// Layers with a fixed input quantizer, whose step is a leaf.
  private var steps: [(name: String, step: Tensor)] = []
  private let problem: BlockProblem

  init(_ problem: BlockProblem, _ rounding: some LearnableRounding) throws {
    self.problem = problem
    block = problem.block
    let inputs = try InputCalibration.quantizers(for: problem)
    for linear in problem.block.linears {
      if case .fixed(let step, _, _, _, _) = inputs[linear.name] {
        steps.append((linear.name, step.tracked()))
      }
      guard let scheme = problem.schemes[linear.name]?.weights else { continue }
      let weights = linear.weight.dense()
      variables.append((linear.name, try rounding.variables(for: weights, scheme)))
    }
    let tokens = Float(problem.quantized.length)
    block.forEachLinear { linear in
      linear.weight = .dense(linear.weight.dense())
      linear.inputs = inputs[linear.name].map { quantizer in
        guard case .fixed(let step, let zero, let low, let high, _) = quantizer else {
          return quantizer
        }
        // LSQ's 1/√(elements · largest code), elements counted for one sample.
        let elements = tokens * Float(linear.weight.shape[1])
        return .fixed(
          step: step, zero: zero, low: low, high: high,
          gradientScale: 1 / (elements * high).squareRoot())
      }
    }
  }

  var leaves: [Tensor] { variables.flatMap(\.state.leaves) + steps.map(\.step) }

  /// The quantized block's output with the variables as they stand.
  func output(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    var current = block
    let weights = Dictionary(uniqueKeysWithValues: variables.map { ($0.name, $0.state.weights()) })
    let learned = Dictionary(uniqueKeysWithValues: steps.map { ($0.name, $0.step) })
    current.forEachLinear { linear in
      if let weight = weights[linear.name] { linear.weight = .dense(weight) }
      if let step = learned[linear.name] { linear.inputs = linear.inputs?.withStep(step) }
    }
    return current(x, context)
  }

  func penalties(progress: Float) -> [Tensor] {
    variables.compactMap { $0.state.penalty(progress: progress) }
  }

  mutating func update(
    _ optimizer: inout Adam, _ gradients: [Tensor], rate: Float, inputRate: Float
  ) {
    var moved = leaves
    let rates =
      variables.flatMap { $0.state.relativeRates.map { $0 * rate } }
      + steps.map { _ in inputRate }
    optimizer.update(&moved, gradients, rates: rates)
    var rest = moved[...]
    for i in variables.indices {
      let count = variables[i].state.leaves.count
      variables[i].state.leaves = Array(rest.prefix(count))
      rest = rest.dropFirst(count)
    }
    for (i, step) in zip(steps.indices, rest) { steps[i].step = step.positive().tracked() }
  }

  func solution() throws -> BlockSolution {
    let learned = Dictionary(uniqueKeysWithValues: steps.map { ($0.name, $0.step) })
    let inputs = Dictionary(uniqueKeysWithValues: block.linears.map { ($0.name, $0.inputs) })
    var layers: [String: LayerSolution] = [:]
    for (name, state) in variables {
      let quantizer = (inputs[name] ?? nil).map { quantizer in
        learned[name].map { quantizer.withStep($0.detached) } ?? quantizer
      }
      layers[name] = LayerSolution(weight: try state.quantized(), inputs: quantizer)
    }
    return BlockSolution(layers: layers)
  }

  func fallback(at step: Int) throws -> BlockSolution {
    var solution = try RoundToNearest().solve(problem)
    for name in solution.layers.keys {
      solution.layers[name]?.warnings.append(
        "the loss was not a number at iteration \(step); rounded to nearest instead. "
          + "Lower the learning rate")
    }
    solution.iterations = step
    return solution
  }
}

extension InputQuantizer {
  fileprivate func withStep(_ step: Tensor) -> InputQuantizer {
    guard case .fixed(_, let zero, let low, let high, let gradientScale) = self else { return self }
    return .fixed(step: step, zero: zero, low: low, high: high, gradientScale: gradientScale)
  }
}

extension Tensor {
  /// A step kept above zero, as QDrop's code does: |s| with a floor.
  fileprivate func positive() -> Tensor {
    Tensor(values.map { Swift.max(Swift.abs($0), 1e-8) }, shape: shape)
  }
}

extension ActivationStream {
  /// The rows of the samples named, in that order: [samples.count·length, hidden].
  func gathering(_ samples: [Int]) -> Tensor {
    .concatenating(samples.map { self.samples($0..<$0 + 1) })
  }
}

extension Reconstruction {
  /// Checks the hyperparameters that all learned roundings share.
  static func validate(
    _ method: String, _ iterations: Int, _ batch: Int, _ learningRate: Float
  ) throws(SchemeError) {
    guard iterations > 0 else {
      throw SchemeError("\(method): iterations is \(iterations); use at least 1, or the method rtn")
    }
    guard batch > 0 else { throw SchemeError("\(method): batch is \(batch); use at least 1") }
    guard learningRate > 0, learningRate.isFinite else {
      throw SchemeError("\(method): learning-rate is \(learningRate); use a positive number")
    }
  }
}
