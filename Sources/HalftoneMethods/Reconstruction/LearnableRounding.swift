public import HalftoneSchemes
public import HalftoneTensor

/// A rounding whose choice of codes is trained against the output of a unit of the network.
public protocol LearnableRounding: Sendable {
  /// The variables of one weight matrix before the first iteration.
  func variables(for weights: Tensor, _ scheme: WeightScheme) throws -> any RoundingVariables
}

/// The learnable state of one weight matrix.
public protocol RoundingVariables {
  /// What the optimiser moves, as leaves of the gradient graph.
  var leaves: [Tensor] { get set }
  /// The step size of the optimiser for each leaf, relative to the rounding's learning rate.
  var relativeRates: [Float] { get }
  /// The weight as the unit sees it during training: a function of the leaves.
  func weights() -> Tensor
  /// What the objective adds to keep the variables in shape at `progress` (0 to 1); nil for nothing.
  func penalty(progress: Float) -> Tensor?
  /// The final codes.
  func quantized() throws -> QuantizedTensor
  /// How many of the variables lie within 0.01 of a code, and of how many; nil where weights are rounded in
  /// training as they will be.
  var settled: (count: Int, of: Int)? { get }
}

extension RoundingVariables {
  public var settled: (count: Int, of: Int)? { nil }
}
