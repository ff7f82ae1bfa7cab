public import HalftoneSchemes
public import HalftoneTensor

/// Learns an offset of up to half a step for each weight, and how much of its range each grid keeps,
/// from the signs of the gradients alone.
///
/// Cheng, Zhang, Shen, Cai, He, Lv, Liu. *Optimize Weight Rounding via Signed Gradient Descent for the
/// Quantization of LLMs.* Findings of EMNLP 2024. <https://arxiv.org/abs/2309.05516>; the tool is
/// called AutoRound.
///
/// | Paper | Code      | Shape                             |
/// | ----- | --------- | --------------------------------- |
/// | W     | `weights` | [out, in]                         |
/// | V     | `v`       | [out, in], in [−½, ½]             |
/// | α     | `lower`   | [1, 1], [out, 1] or [out, groups] |
/// | β     | `upper`   | the same                          |
///
/// Ŵ = s·(clamp(round(W/s + V) + z) − z). Asymmetric: s and z are those of the range from α times the
/// lower to β times the upper end of the grid that the scheme's range rule finds; symmetric: s = β·s₀.
/// V starts at 0, α and β at 1, so iteration 0 gives the codes of round-to-nearest, bit for bit. Each
/// step moves every variable by the learning rate against the sign of its gradient; the rate falls
/// linearly from 1/`iterations`, so that all steps together make ½.
///
/// Where this differs from the authors' code: a symmetric step is positive. Theirs takes the sign that
/// puts the weight of largest magnitude on code −2^(b−1).
public struct SignRound: ReconstructionMethod, Equatable {
  public static let name = "signround"
  public static let summary =
    "Learns an offset before rounding and the range of each grid, by the signs of the gradients."
  public static let citation =
    "Cheng, Zhang, Shen, Cai, He, Lv, Liu. Optimize Weight Rounding via Signed Gradient Descent for "
    + "the Quantization of LLMs. Findings of EMNLP 2024. https://arxiv.org/abs/2309.05516"

  public var iterations = 200
  public var batch = 8
  /// 0 for 1/`iterations`.
  public var learningRate: Float = 0
  /// Of α and β; 0 for that of V.
  public var rangeLearningRate: Float = 0
  public var inputLearningRate: Float = 4e-5
  /// Bounds of α and β.
  public var leastRange: Float = 0.1
  public var mostRange: Float = 1
  /// Whether the state with the least loss of a batch is kept in place of the last one.
  public var keepBest = true
  public var unit = ReconstructionUnit.block
  public var lastBlock = LastBlockObjective.output

  public init() {}

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    try withRate.validateTraining()
    guard leastRange > 0, leastRange <= 1, mostRange >= 1, mostRange.isFinite else {
      throw SchemeError(
        "signround: the range is \(leastRange) to \(mostRange); use least-range above 0 and up to 1, "
          + "most-range from 1")
    }
    guard rangeLearningRate >= 0, rangeLearningRate.isFinite else {
      throw SchemeError("signround: range-learning-rate is \(rangeLearningRate); use 0 or more")
    }
  }

  /// With the learning rate that 0 stands for.
  private var withRate: SignRound {
    var result = self
    if learningRate == 0 { result.learningRate = 1 / Float(max(1, iterations)) }
    return result
  }

  public func reconstruction(of problem: BlockProblem) throws -> Reconstruction {
    var reconstruction = try withRate.standardReconstruction(of: problem)
    reconstruction.optimizer = .sign
    reconstruction.keepsBest = keepBest
    return reconstruction
  }

  public func variables(
    for weights: Tensor, _ scheme: WeightScheme
  ) throws -> any RoundingVariables {
    var ratio = rangeLearningRate == 0 ? 1 : rangeLearningRate / withRate.learningRate
    if !scheme.scalesAreFree { ratio = 0 }
    return SignRoundVariables(
      weights, try scheme.grids(for: weights), scheme, range: leastRange...mostRange,
      rangeRate: ratio)
  }
}

/// SignRound's offsets and range factors for one weight matrix.
public struct SignRoundVariables: RoundingVariables {
  public let original: Tensor
  public let grid: GridTable
  public let format: any NumberFormat
  /// V: [out, in].
  public private(set) var v: Tensor
  /// α, shaped as the grid's scales; nil where the grid is symmetric.
  public private(set) var lower: Tensor?
  /// β.
  public private(set) var upper: Tensor
  private let range: ClosedRange<Float>
  private let rangeRate: Float
  /// What V is measured in besides the scale; nil for 1.
  private let steps: Tensor?

  init(
    _ weights: Tensor, _ grid: GridTable, _ scheme: WeightScheme, range: ClosedRange<Float>,
    rangeRate: Float
  ) {
    original = weights
    self.grid = grid
    format = scheme.format
    self.range = range
    self.rangeRate = rangeRate
    steps = weights.steps(on: grid)
    let one = Tensor(repeating: 1, shape: grid.scales.shape)
    v = Tensor(repeating: 0, shape: weights.shape).tracked()
    lower = scheme.symmetric ? nil : one.tracked()
    upper = one.tracked()
  }

  /// V, β and α, each held within its bounds.
  public var leaves: [Tensor] {
    get { [v, upper] + [lower].compactMap { $0 } }
    set {
      v = newValue[0].detached.clamped(to: -0.5...0.5).tracked()
      upper = newValue[1].detached.clamped(to: range).tracked()
      if lower != nil { lower = newValue[2].detached.clamped(to: range).tracked() }
    }
  }

  public var relativeRates: [Float] { [1, rangeRate] + (lower == nil ? [] : [rangeRate]) }

  public func weights() -> Tensor {
    original.signRounded(grid, v: steps.map { v * $0 } ?? v, lower: lower, upper: upper)
  }

  public func penalty(progress: Float) -> Tensor? { nil }

  /// Ŵ already lies on the narrowed grid, so rounding it to nearest reads off the codes.
  public func quantized() throws -> QuantizedTensor {
    try grid.narrowed(lower: lower, upper: upper).quantize(weights().detached, format: format)
  }
}
