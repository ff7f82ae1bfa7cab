public import HalftoneTensor

/// y = x / √(mean x² + ε) ∘ w over runs of `weight.count` elements: whole rows, or each head of a row.
public struct RMSNorm: Sendable {
  public var weight: Tensor
  public let epsilon: Float

  public init(weight: Tensor, epsilon: Float) {
    self.weight = weight
    self.epsilon = epsilon
  }

  public func callAsFunction(_ x: Tensor) -> Tensor { x.rmsNorm(weight, epsilon: epsilon) }
}
