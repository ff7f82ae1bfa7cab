import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

/// A unit being trained: its layers, each with rounding variables and perhaps a learned input step.
struct TrainedUnit {
  private var block: any TransformerBlock
  private var variables: [(name: String, state: any RoundingVariables)] = []
  /// Layers with a fixed input quantizer, whose step is a leaf.
  private var steps: [(name: String, step: Tensor)] = []
  private let problem: BlockProblem

  init(
    _ problem: BlockProblem, _ rounding: some LearnableRounding, _ start: [String: [Tensor]],
    _ carried: [String: InputQuantizer]
  ) throws {
    self.problem = problem
    block = problem.block
    let inputs = try InputCalibration.quantizers(for: problem).merging(carried) { $1 }
    for linear in problem.block.linears {
      if case .fixed(let step, _, _, _) = inputs[linear.name] {
        steps.append((linear.name, step.tracked()))
      }
      guard let scheme = problem.schemes[linear.name]?.weights else { continue }
      var state = try rounding.variables(for: linear.weight.dense(), scheme)
      if let leaves = start[linear.name] { state.leaves = leaves.map { $0.tracked() } }
      variables.append((linear.name, state))
    }
    let tokens = Float(problem.quantized.length)
    block.forEachLinear { linear in
      linear.weight = .dense(linear.weight.dense())
      linear.inputs = inputs[linear.name]?.withGradientScale(
        elements: tokens * Float(linear.weight.shape[1]))
    }
  }

  // MARK: - Leaves

  /// The rounding variables of all layers, then the input steps.
  var leaves: [Tensor] {
    get { variables.flatMap(\.state.leaves) + steps.map(\.step) }
    set {
      var rest = newValue[...]
      for i in variables.indices {
        let count = variables[i].state.leaves.count
        variables[i].state.leaves = Array(rest.prefix(count))
        rest = rest.dropFirst(count)
      }
      for (i, step) in zip(steps.indices, rest) { steps[i].step = step.positive().tracked() }
    }
  }

  var leavesByLayer: [String: [Tensor]] {
    Dictionary(uniqueKeysWithValues: variables.map { ($0.name, $0.state.leaves.map(\.detached)) })
  }

  /// A rate for each leaf.
  func rates(rounding: Float, inputs: Float) -> [Float] {
    variables.flatMap { $0.state.relativeRates.map { $0 * rounding } } + steps.map { _ in inputs }
  }

  func penalties(progress: Float) -> [Tensor] {
    variables.compactMap { $0.state.penalty(progress: progress) }
  }

  // MARK: - Running

  /// The unit run on `samples` with the variables as they stand.
  ///
  /// With a `seed` each element of the unit's input is taken from the Q stream, and each of a layer's
  /// input is quantized, with probability `kept`; otherwise all are.
  func step(_ samples: [Int], keeping kept: Float, seed: UInt64?) -> ReconstructionStep {
    let weights = Dictionary(uniqueKeysWithValues: variables.map { ($0.name, $0.state.weights()) })
    var input = problem.quantized.gathering(samples)
    var context = problem.makeContext(samples.count)
    if let seed {
      var generator = SeededGenerator(seed: seed)
      input = input.mixed(
        with: problem.original.gathering(samples), keeping: kept, seed: generator.next())
      context.mixInput = { original, quantized in
        quantized.mixed(with: original, keeping: kept, seed: generator.next())
      }
    }
    return step(samples, weights, input, context)
  }

  /// The unit run on `samples` with the codes its variables stand for, nothing dropped.
  func hardStep(_ samples: [Int]) throws -> ReconstructionStep {
    let weights = try variables.map { ($0.name, try $0.state.quantized().dequantized()) }
    return step(
      samples, Dictionary(uniqueKeysWithValues: weights), problem.quantized.gathering(samples),
      problem.makeContext(samples.count))
  }

  private func step(
    _ samples: [Int], _ weights: [String: Tensor], _ input: Tensor, _ context: ForwardContext
  ) -> ReconstructionStep {
    var current = block
    let learned = Dictionary(uniqueKeysWithValues: steps.map { ($0.name, $0.step) })
    current.forEachLinear { linear in
      if let weight = weights[linear.name] { linear.weight = .dense(weight) }
      if let step = learned[linear.name] { linear.inputs = linear.inputs?.withStep(step) }
    }
    let (unit, plain) = (current, problem.makeContext(samples.count))
    return ReconstructionStep(
      problem: problem, samples: samples, output: unit(input, context),
      target: problem.targets.gathering(samples), run: { unit($0, plain) })
  }

  // MARK: - Result

  /// With the steps as they stand.
  var inputQuantizers: [String: InputQuantizer] {
    let learned = Dictionary(uniqueKeysWithValues: steps.map { ($0.name, $0.step.detached) })
    var result: [String: InputQuantizer] = [:]
    for linear in block.linears {
      guard let quantizer = linear.inputs else { continue }
      result[linear.name] = learned[linear.name].map(quantizer.withStep) ?? quantizer
    }
    return result
  }

  func solution() throws -> BlockSolution {
    let inputs = inputQuantizers
    var layers: [String: LayerSolution] = [:]
    for (name, state) in variables {
      layers[name] = LayerSolution(weight: try state.quantized(), inputs: inputs[name])
    }
    var solution = BlockSolution(layers: layers)
    solution.learnedParameters = variables.flatMap(\.state.leaves).reduce(0) { $0 + $1.count }
    let settled = variables.compactMap(\.state.settled)
    if !settled.isEmpty {
      solution.settled =
        Float(settled.reduce(0) { $0 + $1.count }) / Float(max(1, settled.reduce(0) { $0 + $1.of }))
    }
    return solution
  }
}

extension InputQuantizer {
  fileprivate func withStep(_ step: Tensor) -> InputQuantizer {
    guard case .fixed(_, let zero, let format, let gradientScale) = self else { return self }
    return .fixed(step: step, zero: zero, format: format, gradientScale: gradientScale)
  }

  /// With LSQ's 1/√(elements · largest code), `elements` counted for one sample.
  fileprivate func withGradientScale(elements: Float) -> InputQuantizer {
    guard case .fixed(let step, let zero, let format, _) = self else { return self }
    return .fixed(
      step: step, zero: zero, format: format,
      gradientScale: 1 / (elements * format.extent.high).squareRoot())
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
