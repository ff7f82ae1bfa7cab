import HalftoneSchemes
import HalftoneTensor

/// A rounding for methods that are a way of training and leave the rounding open.
public enum TrainedRounding: String, Codable, Sendable, CaseIterable {
  /// Down or up on a fixed grid: ``AdaRound``.
  case adaround
  /// Division by learned scales, the grid learned with them: ``FlexRound``.
  case flexround

  /// The variables of `weights`, AdaRound's with the penalty of `adaRound`.
  func variables(
    for weights: Tensor, _ scheme: WeightScheme, _ adaRound: AdaRound
  ) throws -> any RoundingVariables {
    switch self {
    case .adaround: try adaRound.variables(for: weights, scheme)
    case .flexround: try FlexRound().variables(for: weights, scheme)
    }
  }
}
