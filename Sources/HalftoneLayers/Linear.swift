public import HalftoneSchemes
public import HalftoneTensor

/// The weight of a linear layer, [out, in].
public enum LinearWeight: Sendable {
  case dense(Tensor)
  case quantized(QuantizedTensor)
  /// As a GGUF file holds it.
  case blocks(BlockMatrix)

  public var shape: [Int] {
    switch self {
    case .dense(let tensor): tensor.shape
    case .quantized(let tensor): tensor.shape
    case .blocks(let matrix): matrix.shape
    }
  }

  /// The weight as floats, converted or dequantized if need be.
  public func dense() -> Tensor {
    switch self {
    case .dense(let tensor): tensor.float()
    case .quantized(let tensor): tensor.dequantized()
    case .blocks(let matrix): matrix.dequantized()
    }
  }
}

/// Rounds a layer's input to what the quantized layer will see.
public enum InputQuantizer: Sendable {
  /// Each token on a grid of its own, found when it runs.
  case dynamic(InputScheme)
  /// One fixed grid; `step` is a tensor of one element and may be learned.
  case fixed(step: Tensor, zero: Float, format: any NumberFormat, gradientScale: Float)

  /// Each group of a token on a grid of its own.
  case groups(InputScheme, GroupRounding)

  /// Each token on a grid of its own, all of it rounded.
  public static func perToken(format: any NumberFormat, symmetric: Bool) -> InputQuantizer {
    .dynamic(
      InputScheme(format: format, granularity: .token, symmetric: symmetric, dynamic: true))
  }

  public func callAsFunction(_ x: Tensor) -> Tensor {
    switch self {
    case .dynamic(let scheme):
      x.fakeQuantizedTokens(
        bits: scheme.format.bits, symmetric: scheme.symmetric, levels: scheme.format.levels,
        outlierThreshold: scheme.outlierThreshold)
    case .fixed(let step, let zero, let format, let gradientScale):
      x.fakeQuantized(
        step: step, zero: zero, low: format.extent.low, high: format.extent.high,
        levels: format.levels, gradientScale: gradientScale)
    case .groups(_, let rounding): rounding(x)
    }
  }
}

/// y = Q(x)·Wᵀ + b, with W dense or quantized and Q the input quantizer, if any.
///
/// With low-rank factors A and B, W + A·B takes the place of W.
public struct Linear: Sendable {
  /// The module's name in the checkpoint: "model.layers.0.self_attn.q_proj".
  public let name: String
  public var weight: LinearWeight
  public var bias: Tensor?
  public var inputs: InputQuantizer?
  public var lowRank: LowRankFactors?

  public init(
    name: String, weight: LinearWeight, bias: Tensor? = nil, inputs: InputQuantizer? = nil,
    lowRank: LowRankFactors? = nil
  ) {
    self.name = name
    self.weight = weight
    self.bias = bias
    self.inputs = inputs
    self.lowRank = lowRank
  }

  /// The shape of what the low-rank factors add to the weight; nil for none.
  public var lowRankShape: [Int]? { lowRank?.shape }

  /// The matrix that the layer multiplies by, low-rank factors included, as floats.
  public func effectiveWeight() -> Tensor {
    lowRank.map { weight.dense() + $0.product() } ?? weight.dense()
  }

  /// From x [tokens, in] to [tokens, out]; `observe` sees x before its quantizer.
  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    context.observe?(name, x)
    let seen = inputs.map { quantizer in
      let quantized = quantizer(x)
      return context.mixInput?(x, quantized) ?? quantized
    }
    let input = seen ?? x
    var y = input.linear(weight.dense())
    if let lowRank { y = y + lowRank(input) }
    return bias.map { y.addingRow($0) } ?? y
  }
}
