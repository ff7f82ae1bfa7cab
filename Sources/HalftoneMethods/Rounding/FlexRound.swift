public import HalftoneSchemes
public import HalftoneTensor

/// Divides each weight by a learned positive scale of its own before rounding, and learns the grid's
/// step with it.
///
/// Lee, Kim, Kwon, Lee. *FlexRound: Learnable Rounding based on Element-wise Division for
/// Post-Training Quantization.* ICML 2023. <https://arxiv.org/abs/2306.00317>, equation 2 and
/// Proposition 3.1.
///
/// | Paper | Code                         | Shape                      |
/// | ----- | ---------------------------- | -------------------------- |
/// | W     | `weights`                    | [out, in]                  |
/// | s1    | `grid.scales · exp(logStep)` | [1, 1], [out, 1] or [out, groups] |
/// | S2    | `exp(v2)`                    | [out, in]                  |
/// | s3    | `exp(v3)`                    | [out]                      |
///
/// Ŵ = s1·clamp(round(W / (s1∘S2∘s3))). All are learned jointly, with one step size; positivity comes
/// from the logarithms, as in the authors' code. The zero point is fixed at the start. At iteration 0
/// all logarithms are 0, so the codes are those of round-to-nearest, bit for bit; the step is kept as
/// a factor on its initial value for that reason.
///
/// Where this differs from the authors' code: the symmetric min-MSE search works (theirs scales by a
/// constant), and inputs are quantized during reconstruction when the scheme quantizes them.
public struct FlexRound: ReconstructionMethod, Equatable {
  public static let name = "flexround"
  public static let summary =
    "Divides each weight by a learned scale before rounding; the grid's step is learned jointly."
  public static let citation =
    "Lee, Kim, Kwon, Lee. FlexRound: Learnable Rounding based on Element-wise Division for "
    + "Post-Training Quantization. ICML 2023. https://arxiv.org/abs/2306.00317"

  /// The released Llama code takes 5,000; with calibration sets that fit a small machine the codes
  /// then drift where the samples do not hold them (Documentation/Methods/FlexRound.md).
  public var iterations = 800
  /// Samples per iteration.
  public var batch = 4
  public var learningRate: Float = 3e-3
  /// The step size for fixed input quantizers (LSQ).
  public var inputLearningRate: Float = 4e-5
  /// Whether s1 is learned; without, the ablation "s1 fixed".
  ///
  /// Scales of few bits stay as they are found.
  public var learnGrid = true
  /// Whether s3 is learned; without, the ablation "no s3".
  public var rowScale = true
  public var unit = ReconstructionUnit.block
  public var lastBlock = LastBlockObjective.output

  public init() {}

  public func variables(
    for weights: Tensor, _ scheme: WeightScheme
  ) throws -> any RoundingVariables {
    FlexRoundVariables(
      weights, try scheme.grids(for: weights), scheme.format,
      learnGrid: learnGrid && scheme.scalesAreFree, rowScale: rowScale)
  }
}

/// The logarithms of FlexRound's scales for one weight matrix.
public struct FlexRoundVariables: RoundingVariables {
  public let original: Tensor
  public let grid: GridTable
  public let format: any NumberFormat
  /// ln(s1 / its initial value), shaped as the grid's scales.
  public private(set) var logStep: Tensor
  /// ln S2: [out, in].
  public private(set) var v2: Tensor
  /// ln s3: [out].
  public private(set) var v3: Tensor

  init(
    _ weights: Tensor, _ grid: GridTable, _ format: any NumberFormat, learnGrid: Bool,
    rowScale: Bool
  ) {
    original = weights
    self.grid = grid
    self.format = format
    let zero = Tensor(repeating: 0, shape: grid.scales.shape)
    logStep = learnGrid ? zero.tracked() : zero
    v2 = Tensor(repeating: 0, shape: weights.shape).tracked()
    let rows = Tensor(repeating: 0, shape: [weights.rows])
    v3 = rowScale ? rows.tracked() : rows
  }

  public var leaves: [Tensor] {
    get { [logStep, v2, v3].filter(\.needsGradient) }
    set {
      var rest = newValue[...]
      if logStep.needsGradient { logStep = rest.removeFirst() }
      v2 = rest.removeFirst()
      if v3.needsGradient { v3 = rest.removeFirst() }
    }
  }

  public var relativeRates: [Float] { leaves.map { _ in 1 } }

  public func weights() -> Tensor {
    original.flexRounded(grid, logStep: logStep, v2: v2, v3: v3)
  }

  public func penalty(progress: Float) -> Tensor? { nil }

  /// Ŵ already lies on the learned grid, so rounding it to nearest reads off the codes.
  public func quantized() throws -> QuantizedTensor {
    try grid.scaled(byExponentialOf: logStep).quantize(weights().detached, format: format)
  }
}
