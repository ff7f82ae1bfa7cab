public import HalftoneTensor

/// y = down(silu(gate(x)) ∘ up(x)), the SwiGLU layer of Shazeer (2020).
public struct GatedFeedForward: Sendable {
  public var gate: Linear
  public var up: Linear
  public var down: Linear

  public init(gate: Linear, up: Linear, down: Linear) {
    self.gate = gate
    self.up = up
    self.down = down
  }

  /// x [tokens, hidden] to the same shape.
  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    down(Tensor.siluMultiply(gate: gate(x, context), up: up(x, context)), context)
  }
}
