package import HalftoneSchemes
package import HalftoneTensor

/// AdaRound with a matrix V of low rank beside its start, and a learned step.
///
/// | Paper  | Code        | Shape       |
/// | ------ | ----------- | ----------- |
/// | W      | `original`  | [out, in]   |
/// | A1     | `a1`        | [out, rank] |
/// | A2     | `a2`        | [rank, in]  |
/// | S_W    | `grid.scales · exp(logStep)` | [1, 1], [out, 1] or [out, groups] |
///
/// Ŵ = s·(clamp(⌊W/s⌋ + h(V) + z) − z) with V = V₀ + A1·A2 and h(V₀) = W/s − ⌊W/s⌋. V₀ follows the
/// step, so that a weight does not jump where ⌊W/s⌋ does. A1 starts at 0, A2 with small random numbers:
/// A1 = A2 = 0 would have no gradient, and without V₀ every weight would start half a step off.
package struct LoRARounding: LearnableRounding {
  var rank: Int
  var learnGrid: Bool
  /// Whether weights are rounded in training as they will be, gradients passing as through h.
  var straightThrough: Bool
  var schedule: AdaRoundSchedule

  package init(rank: Int, learnGrid: Bool, straightThrough: Bool, schedule: AdaRoundSchedule) {
    self.rank = rank
    self.learnGrid = learnGrid
    self.straightThrough = straightThrough
    self.schedule = schedule
  }

  package func variables(
    for weights: Tensor, _ scheme: WeightScheme
  ) throws -> any RoundingVariables {
    var settings = self
    settings.learnGrid = learnGrid && scheme.scalesAreFree
    return LoRARoundingVariables(
      weights, try scheme.grids(for: weights), scheme.format, settings)
  }
}

/// The two factors and the step of one weight matrix.
package struct LoRARoundingVariables: RoundingVariables {
  let original: Tensor
  let grid: GridTable
  let format: any NumberFormat
  /// ln(s / its initial value), shaped as the grid's scales.
  private(set) var logStep: Tensor
  private(set) var a1: Tensor
  private(set) var a2: Tensor
  private let settings: LoRARounding

  package init(
    _ weights: Tensor, _ grid: GridTable, _ format: any NumberFormat, _ settings: LoRARounding
  ) {
    original = weights
    self.grid = grid
    self.format = format
    self.settings = settings
    let zero = Tensor(repeating: 0, shape: grid.scales.shape)
    logStep = settings.learnGrid ? zero.tracked() : zero
    a1 = Tensor(repeating: 0, shape: [weights.rows, settings.rank]).tracked()
    // The same start for every matrix of a shape: which directions A2 holds at first is of no weight.
    var generator = SeededGenerator(seed: UInt64(weights.count))
    let spread = 1 / Float(settings.rank).squareRoot()
    a2 = (Tensor.normal(shape: [settings.rank, weights.columns], using: &generator) * spread)
      .tracked()
  }

  package var leaves: [Tensor] {
    get { [logStep, a1, a2].filter(\.needsGradient) }
    set {
      if logStep.needsGradient { logStep = newValue[0] }
      (a1, a2) = (newValue[newValue.count - 2], newValue[newValue.count - 1])
    }
  }

  package var relativeRates: [Float] { leaves.map { _ in 1 } }

  private var v: Tensor { original.adaRoundStart(grid, logStep: logStep) + a1.matmul(a2) }

  package func weights() -> Tensor {
    original.adaRounded(grid, v: v, logStep: logStep, hard: settings.straightThrough)
  }

  package func penalty(progress: Float) -> Tensor? {
    settings.schedule.penalty(v, progress: progress)
  }

  package var settled: (count: Int, of: Int)? {
    settings.straightThrough ? nil : v.settledRoundings
  }

  package func quantized() throws -> QuantizedTensor {
    let hard = original.adaRounded(grid, v: v.detached, logStep: logStep.detached, hard: true)
    return try grid.scaled(byExponentialOf: logStep).quantize(hard, format: format)
  }
}
