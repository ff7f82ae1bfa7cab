public import HalftoneSchemes
public import HalftoneTensor

/// A rounding for methods that are a way of training and leave the rounding open.
public enum TrainedRounding: String, RecipeWord {
  /// Down or up on a fixed grid: ``AdaRound``.
  case adaround
  /// Division by learned scales, the grid learned with them: ``FlexRound``.
  case flexround

  var learningRate: Float {
    switch self {
    case .adaround: AdaRound().learningRate
    case .flexround: FlexRound().learningRate
    }
  }

  /// The variables of `weights`, AdaRound's with the penalty of `schedule`.
  func variables(
    for weights: Tensor, _ scheme: WeightScheme, _ schedule: AdaRoundSchedule
  ) throws -> any RoundingVariables {
    switch self {
    case .adaround:
      AdaRoundVariables(weights, try scheme.grids(for: weights), scheme.format, schedule)
    case .flexround: try FlexRound().variables(for: weights, scheme)
    }
  }
}

/// A way of training that leaves the rounding open.
public protocol ConfigurableRoundingMethod: ReconstructionMethod, AnnealedMethod {
  /// What is trained; AdaRound with the penalty of this method.
  var rounding: TrainedRounding { get }
}

extension ConfigurableRoundingMethod {
  /// `learningRate`, 0 for that of the rounding.
  public var rate: Float { learningRate == 0 ? rounding.learningRate : learningRate }

  public func variables(
    for weights: Tensor, _ scheme: WeightScheme
  ) throws -> any RoundingVariables {
    try rounding.variables(for: weights, scheme, schedule)
  }
}
