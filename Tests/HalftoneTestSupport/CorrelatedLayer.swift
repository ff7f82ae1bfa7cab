public import HalftoneLayers
public import HalftoneTensor

/// A linear layer with heavy-tailed weights, and inputs that are correlated and have a few large
/// channels, as in language models.
public struct CorrelatedLayer {
  /// [rows, columns].
  public let weights: Tensor
  /// [samples·length, columns].
  public let inputs: Tensor
  public let samples: Int
  public let length: Int

  public init(rows: Int = 24, columns: Int = 48, samples: Int = 16, length: Int = 32, seed: UInt64)
  {
    var generator = SeededGenerator(seed: seed)
    let tails = Tensor(
      (0..<rows * columns).map { _ in
        // A normal over the root of a mean of squares: Student's t with 5 degrees of freedom.
        let spread = (0..<5).reduce(Float(0)) { sum, _ in
          let x = generator.normal()
          return sum + x * x
        }
        return generator.normal() / (spread / 5).squareRoot()
      }, shape: [rows, columns])
    let rank = columns / 3
    let mixture = Tensor.normal(shape: [rank, columns], using: &generator)
    let latent = Tensor.normal(shape: [samples * length, rank], using: &generator)
    let noise = Tensor.normal(shape: [samples * length, columns], using: &generator)
    let x = latent.matmul(mixture) * 0.3 + noise * 0.3
    inputs = Tensor(
      x.values.enumerated().map { $1 * ($0 % columns % 11 == 3 ? 6 : 1) }, shape: x.shape)
    weights = tails
    (self.samples, self.length) = (samples, length)
  }

  /// Other weights with the inputs of `layer`.
  public init(weights: Tensor, inputsOf layer: CorrelatedLayer) {
    self.weights = weights
    inputs = layer.inputs
    (samples, length) = (layer.samples, layer.length)
  }

  /// The layer as a module named "layer".
  public var linear: Linear { Linear(name: "layer", weight: .dense(weights)) }

  /// ‖X(W − Ŵ)ᵀ‖² / ‖XWᵀ‖².
  public func outputError(of quantized: Tensor) -> Float {
    let y = inputs.linear(weights)
    let difference = inputs.linear(weights - quantized)
    return (difference * difference).sum().scalar / (y * y).sum().scalar
  }
}
