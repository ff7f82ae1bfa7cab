public import HalftoneSchemes
public import HalftoneTensor

/// Moves the weights themselves a little before they are rounded to nearest, layer by layer, and
/// learns the grid's step with them.
///
/// Hubara, Nahshan, Hanani, Banner, Soudry. *Improving Post Training Neural Quantization: Layer-wise
/// Calibration and Integer Programming.* 2020. <https://arxiv.org/abs/2006.10518>.
///
/// | Paper | Code                         | Shape                             |
/// | ----- | ---------------------------- | --------------------------------- |
/// | W     | `weights`                    | [out, in]                         |
/// | V     | `v`·s₀                       | [out, in]                         |
/// | Δw    | `grid.scales · exp(logStep)` | [1, 1], [out, 1] or [out, groups] |
///
/// Ŵ = s·(clamp(round((W + V)/s) + z) − z) with z fixed at the start. At iteration 0 the codes are
/// those of round-to-nearest, bit for bit.
///
/// Where this differs from the authors' code: V is measured in the initial steps s₀ and s learned by its
/// logarithm, so that one rate fits layers of every scale; the rates are ours, theirs are meant for 8
/// bits. Their bias is a step of its own here, and so is their choice of bits.
public struct AdaQuant: ReconstructionMethod, Equatable {
  public static let name = "adaquant"
  public static let summary =
    "Moves each weight before rounding to nearest and learns the step, layer by layer."
  public static let citation =
    "Hubara, Nahshan, Hanani, Banner, Soudry. Improving Post Training Neural Quantization: Layer-wise "
    + "Calibration and Integer Programming. 2020. https://arxiv.org/abs/2006.10518"

  public var iterations = 800
  public var batch = 4
  /// Of V, in initial steps.
  public var learningRate: Float = 1e-3
  /// Of ln s.
  public var stepLearningRate: Float = 1e-3
  public var inputLearningRate: Float = 4e-5
  public var unit = ReconstructionUnit.layer
  public var lastBlock = LastBlockObjective.output

  public init() {}

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    try validateTraining()
    guard stepLearningRate >= 0, stepLearningRate.isFinite else {
      throw SchemeError("adaquant: step-learning-rate is \(stepLearningRate); use 0 or more")
    }
  }

  public func variables(
    for weights: Tensor, _ scheme: WeightScheme
  ) throws -> any RoundingVariables {
    AdaQuantVariables(
      weights, try scheme.grids(for: weights), scheme.format,
      stepRate: scheme.scalesAreFree ? stepLearningRate / learningRate : 0)
  }
}

/// AdaQuant's perturbation and steps for one weight matrix.
public struct AdaQuantVariables: RoundingVariables {
  public let original: Tensor
  public let grid: GridTable
  public let format: any NumberFormat
  /// ln(s / s₀), shaped as the grid's scales.
  public private(set) var logStep: Tensor
  /// V / s₀, on floats over the distance of the values around W / s₀ too: [out, in].
  public private(set) var v: Tensor
  private let stepRate: Float
  /// What V is measured in besides s₀; nil for 1.
  private let steps: Tensor?

  init(_ weights: Tensor, _ grid: GridTable, _ format: any NumberFormat, stepRate: Float) {
    original = weights
    self.grid = grid
    self.format = format
    self.stepRate = stepRate
    steps = weights.steps(on: grid)
    logStep = Tensor(repeating: 0, shape: grid.scales.shape).tracked()
    v = Tensor(repeating: 0, shape: weights.shape).tracked()
  }

  public var leaves: [Tensor] {
    get { [logStep, v] }
    set { (logStep, v) = (newValue[0], newValue[1]) }
  }

  public var relativeRates: [Float] { [stepRate, 1] }

  public func weights() -> Tensor {
    original.perturbedRounded(grid, logStep: logStep, v: steps.map { v * $0 } ?? v)
  }

  public func penalty(progress: Float) -> Tensor? { nil }

  /// Ŵ already lies on the learned grid, so rounding it to nearest reads off the codes.
  public func quantized() throws -> QuantizedTensor {
    try grid.scaled(byExponentialOf: logStep).quantize(weights().detached, format: format)
  }
}
