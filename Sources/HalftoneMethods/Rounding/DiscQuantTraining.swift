import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

/// The rounding variables of all layers of a network, and their descent.
final class DiscQuantTraining {
  private let method: DiscQuant
  private let problem: BlockProblem
  private let network: TrainedNetwork
  private var blocks: [DiscQuantBlock] = []
  /// Δ̄²: the mean over layers of 12·mean (w − nearest)², the squared step of a grid whose errors are
  /// uniform.
  private var squaredStep: Float = 0
  private var generator: SeededGenerator
  private var watch = LossWatch()
  private var done = 0
  private var nearestLoss: Float?
  private var heldOutLast: Float?
  /// Codes at the best of the states looked at.
  private var best: (iteration: Int, loss: Float, codes: [[Tensor]])?
  private(set) var settled: Float = 0

  init(_ method: DiscQuant, _ problem: BlockProblem) throws {
    self.method = method
    self.problem = problem
    generator = SeededGenerator(seed: problem.seed)
    var seeds = SeededGenerator(seed: problem.seed ^ 0xD15C_0000_0000)
    var blocks: [DiscQuantBlock] = []
    let schemes = problem.network?.schemes
    network = try TrainedNetwork(problem) { index, block in
      let layers = schemes?(problem.index + index) ?? problem.schemes
      blocks.append(try DiscQuantBlock(block, layers, method, &seeds))
    }
    self.blocks = blocks
    let errors = blocks.flatMap { $0.layers.map(\.nearestError) }
    squaredStep = 12 * Float(errors.reduce(0, +) / Double(max(1, errors.count)))
  }

  /// Trains to the end, or until that makes no sense any more; the codes of every layer.
  func run() throws -> [String: Tensor] {
    try look(after: 0) { try $0.nearestCodes($1) }
    for step in 0..<method.iterations {
      guard squaredStep > 0, try problem.precision.during({ try self.step(step) }) else { break }
      done = step + 1
      try problem.report(
        BlockProgress(fraction: Double(done) / Double(method.iterations), loss: watch.last))
      if done % max(1, method.iterations / 5) == 0, done < method.iterations {
        try look(after: done) { $0.codes($1) }
      }
    }
    let shares = blocks.map(\.settled)
    settled =
      Float(shares.reduce(0) { $0 + $1.count }) / Float(max(1, shares.reduce(0) { $0 + $1.of }))
    if watch.failure == nil, done > 0 { try look(after: done) { $0.codes($1) } }
    return try codes()
  }

  /// Whether held-out samples prefer rounding to nearest to every state of the training.
  private var nearestIsBest: Bool { nearestLoss != nil && best?.iteration == 0 }

  private func codes() throws -> [String: Tensor] {
    let keepsLast = watch.failure == nil && done > 0 && !nearestIsBest
    var result: [String: Tensor] = [:]
    for (index, block) in blocks.enumerated() {
      let original = keepsLast ? try network.block(index) : nil
      for (position, layer) in block.layers.enumerated() {
        let codes = best?.codes[index][position]
        result[layer.name] = codes
        if let original, let weights = original.weights(of: layer.name) {
          result[layer.name] = layer.codes(weights)
        }
      }
    }
    return result
  }

  // MARK: - One iteration

  /// False if the training must end.
  private func step(_ step: Int) throws -> Bool {
    let samples = generator.draw(method.batch, from: problem.training)
    let target = network.targets.gathering(samples)
    let rate = method.rate(at: step)
    try pass(DiscQuantBlock.soft)(
      problem.quantized.gathering(samples), problem.makeContext(samples.count)
    ) { output in
      let (loss, gradient) = try network.objective(output, target)
      return watch.note(loss, step, hard: nearestLoss) ? gradient : nil
    } take: { index, gradients in
      guard watch.note(gradientsAreFinite: gradients.allSatisfy(\.isFinite), step) else {
        return false
      }
      try blocks[index].update(
        try network.block(index), gradients, method, scale: method.rho / squaredStep, rate: rate)
      return true
    }
    return watch.failure == nil
  }

  private typealias Weights = (DiscQuantLayer, Tensor) throws -> Tensor

  private func pass(_ weights: @escaping Weights) -> RecomputedPass {
    RecomputedPass(count: network.count) { [blocks, network] index, tracked in
      try blocks[index].placed(in: network.block(index), tracked: tracked, weights)
    }
  }

  // MARK: - Held-out samples

  /// Measures the network with hard codes on held-out samples and remembers the best state.
  private func look(
    after iteration: Int, _ choice: (DiscQuantLayer, Tensor) throws -> Tensor
  ) throws {
    let samples = Array(problem.heldOut.prefix(method.batch))
    var codes: [[Tensor]] = []
    for (index, block) in blocks.enumerated() {
      let original = try network.block(index)
      codes.append(
        try block.layers.compactMap { layer in
          try original.weights(of: layer.name).map { try choice(layer, $0) }
        })
    }
    var loss = Float.infinity
    if !samples.isEmpty {
      let chosen = Dictionary(
        zip(blocks.flatMap { $0.layers.map(\.name) }, codes.joined()), uniquingKeysWith: { $1 })
      let output = try pass { layer, weights in
        try chosen[layer.name].map { try layer.grid.values($0) } ?? weights
      }
      .output(problem.quantized.gathering(samples), problem.makeContext(samples.count))
      loss = try network.objective(output, network.targets.gathering(samples)).loss
    }
    if iteration == 0 { nearestLoss = loss.isFinite ? loss : nil }
    heldOutLast = loss.isFinite ? loss : nil
    if best == nil || loss < best?.loss ?? .infinity { best = (iteration, loss, codes) }
  }

  // MARK: - Report

  /// Writes losses and what went wrong into `solution`.
  func report(in solution: inout BlockSolution) {
    (solution.lossFirst, solution.lossLast, solution.iterations) = (watch.first, watch.last, done)
    solution.heldOutFirst = nearestLoss
    solution.heldOutLast = watch.failure == nil ? heldOutLast : best?.loss
    solution.settled = settled
    var warning = watch.warning(keeping: best?.iteration ?? 0)
    if warning == nil, done > 0, nearestIsBest {
      warning =
        "no state of the training was better than rounding to nearest on held-out samples, which is "
        + "kept; use more samples or iterations"
      solution.heldOutLast = nearestLoss
    } else if warning == nil, done > 0 {
      warning = BlockSolution.unsettled(settled, remedy: "more iterations or a lower rho")
    }
    guard let warning else { return }
    for name in solution.layers.keys { solution.layers[name]?.warnings.append(warning) }
  }
}

extension DiscQuant {
  /// The rate rises linearly over the warm-up, then falls to 0 along a cosine.
  package func rate(at step: Int) -> Float {
    let rising = Int(warmUp * Float(iterations))
    guard step >= rising else { return learningRate * Float(step + 1) / Float(rising) }
    return CosineSchedule(start: learningRate, steps: iterations - rising).rate(at: step - rising)
  }
}
