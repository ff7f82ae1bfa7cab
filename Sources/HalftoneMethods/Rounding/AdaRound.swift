public import HalftoneSchemes
public import HalftoneTensor

/// Learns for each weight whether it takes the grid point below or above.
///
/// Nagel, Amjad, van Baalen, Louizos, Blankevoort. *Up or Down? Adaptive Rounding for Post-Training
/// Quantization.* ICML 2020. <https://arxiv.org/abs/2004.10568>, equations 21 to 24; trained on the
/// output of a block as in BRECQ (Li et al. 2021).
///
/// | Paper   | Code      | Shape     |
/// | ------- | --------- | --------- |
/// | W       | `weights` | [out, in] |
/// | V       | `v`       | [out, in] |
/// | h(V)    | clamp(1.2·σ(V) − 0.1, 0, 1) | [out, in] |
/// | λ       | `penalty` |           |
/// | β       | from `startExponent` to `endExponent` | |
///
/// Ŵ = s·(clamp(⌊W/s⌋ + h(V) + z) − z). V starts where Ŵ = W for weights inside the range. The
/// penalty λ·Σ(1 − |2h − 1|^β) sets in after `warmUp` of the iterations, β falling linearly. The final
/// code is ⌊W/s⌋ + 1 where V ≥ 0, else ⌊W/s⌋.
///
/// Where values are not one apart, W lies between two of them, a distance d apart, and Ŵ is the lower one plus
/// d·h(V). With `scaleAware` what is learned is V′ = V·d/d̄, d̄ the mean of all d, so that ∂Ŵ/∂V′ = d̄·h′(V)
/// is the same for wide and narrow gaps: Chen et al. *FP4DiT: Towards Effective Floating Point Quantization
/// for Diffusion Transformers.* 2025. <https://arxiv.org/abs/2503.15465>, which has d in place of d/d̄.
public struct AdaRound: ReconstructionMethod, AnnealedMethod, Equatable {
  public static let name = "adaround"
  public static let summary =
    "Learns for each weight whether to round down or up; the grid is fixed."
  public static let citation =
    "Nagel, Amjad, van Baalen, Louizos, Blankevoort. Up or Down? Adaptive Rounding for Post-Training "
    + "Quantization. ICML 2020. https://arxiv.org/abs/2004.10568"

  public var iterations = 800
  public var batch = 4
  public var learningRate: Float = 0.1
  public var inputLearningRate: Float = 4e-5
  /// λ.
  public var penalty: Float = 100
  public var startExponent: Float = 20
  public var endExponent: Float = 2
  /// The share of iterations before the penalty sets in.
  public var warmUp: Float = 0.2
  /// Whether V is learned in units of the gaps between values.
  public var scaleAware = false
  public var unit = ReconstructionUnit.block
  public var lastBlock = LastBlockObjective.output

  public init() {}

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    try validateTraining()
    try schedule.validate(for: Self.name)
  }

  public func variables(
    for weights: Tensor, _ scheme: WeightScheme
  ) throws -> any RoundingVariables {
    AdaRoundVariables(
      weights, try scheme.grids(for: weights), scheme.format, schedule, scaleAware: scaleAware)
  }
}

/// A method with AdaRound's penalty among its hyperparameters.
public protocol AnnealedMethod {
  /// λ.
  var penalty: Float { get }
  /// β when the penalty sets in.
  var startExponent: Float { get }
  /// β at the end.
  var endExponent: Float { get }
  /// The share of iterations before the penalty sets in.
  var warmUp: Float { get }
}

extension AnnealedMethod {
  package var schedule: AdaRoundSchedule {
    AdaRoundSchedule(
      weight: penalty, startExponent: startExponent, endExponent: endExponent, warmUp: warmUp)
  }
}

/// When and how strongly soft roundings are driven to 0 or 1.
package struct AdaRoundSchedule: Sendable {
  /// λ.
  var weight: Float
  /// β when the penalty sets in, and at the end.
  var startExponent: Float
  var endExponent: Float
  /// The share of iterations before the penalty sets in.
  var warmUp: Float

  package init(weight: Float, startExponent: Float, endExponent: Float, warmUp: Float) {
    self.weight = weight
    self.startExponent = startExponent
    self.endExponent = endExponent
    self.warmUp = warmUp
  }

  /// λ·Σ(1 − |2h(V) − 1|^β), β falling linearly; nil while there is none.
  func penalty(_ v: Tensor, progress: Float) -> Tensor? {
    guard progress >= warmUp, weight > 0 else { return nil }
    let annealed = (progress - warmUp) / (1 - warmUp)
    let exponent = startExponent + (endExponent - startExponent) * annealed
    return v.adaRoundPenalty(weight: weight, exponent: exponent)
  }

  func validate(for method: String) throws(SchemeError) {
    guard weight >= 0, (0..<1).contains(warmUp), startExponent > 0, endExponent > 0 else {
      throw SchemeError(
        "\(method): penalty must be from 0, warm-up from 0 to below 1, exponents above 0")
    }
  }
}

/// AdaRound's V for one weight matrix.
public struct AdaRoundVariables: RoundingVariables {
  public let original: Tensor
  public let grid: GridTable
  public let format: any NumberFormat
  /// What is learned: V, or V·d/d̄.
  private var leaf: Tensor
  /// d̄/d where gaps count: [out, in].
  private let inverseGaps: Tensor?
  private let schedule: AdaRoundSchedule

  package init(
    _ weights: Tensor, _ grid: GridTable, _ format: any NumberFormat,
    _ schedule: AdaRoundSchedule, scaleAware: Bool = false
  ) {
    original = weights
    self.grid = grid
    self.format = format
    self.schedule = schedule
    let start = weights.adaRoundStart(grid)
    guard scaleAware else {
      (leaf, inverseGaps) = (start.tracked(), nil)
      return
    }
    let gaps = weights.gaps(on: grid)
    let mean = Float(gaps.reduce(0.0) { $0 + Double($1) } / Double(gaps.count))
    leaf = Tensor(
      zip(start.values, gaps).map { $0 * $1 / mean }, shape: weights.shape
    ).tracked()
    inverseGaps = Tensor(gaps.map { mean / $0 }, shape: weights.shape)
  }

  /// [out, in].
  public var v: Tensor { inverseGaps.map { leaf * $0 } ?? leaf }

  public var leaves: [Tensor] {
    get { [leaf] }
    set { leaf = newValue[0] }
  }

  public var relativeRates: [Float] { [1] }

  public func weights() -> Tensor { original.adaRounded(grid, v: v) }

  public func penalty(progress: Float) -> Tensor? {
    schedule.penalty(v, progress: progress)
  }

  public func quantized() throws -> QuantizedTensor {
    try grid.quantize(original.adaRounded(grid, v: v.detached, hard: true), format: format)
  }

  public var settled: (count: Int, of: Int)? { v.settledRoundings }
}

extension Tensor {
  /// The distance between the two values of `grid` around each weight, beyond the range of the outer two.
  fileprivate func gaps(on grid: GridTable) -> [Float] {
    var gaps = steps(on: grid)?.values ?? [Float](repeating: 1, count: count)
    grid.forEachRun(rows: 0..<rows, columns: columns) { cell, _, run in
      for i in run { gaps[i] *= cell.scale }
    }
    return gaps
  }

  /// Of the elements of V: how many have |h(V) − ½| > 0.49, that is |V| > ln(1.09/0.11), and of how many.
  var settledRoundings: (count: Int, of: Int) {
    let bound = Float(2.2935)
    return (values.reduce(0) { $0 + (abs($1) > bound ? 1 : 0) }, count)
  }
}
