import HalftoneLayers
import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport

extension CorrelatedLayer {
  /// The layer as the one layer of a block.
  func problem(_ scheme: LayerScheme, seed: UInt64 = 1) -> BlockProblem {
    let stream = ActivationStream(activations: inputs, length: length)
    let empty = Tensor(repeating: 0, shape: [length, 1])
    return BlockProblem(
      index: 0, block: LayerUnit(linear), schemes: ["layer": scheme], original: stream,
      quantized: stream,
      targets: ActivationStream(activations: inputs.linear(weights), length: length),
      training: 0..<samples, heldOut: 0..<samples,
      makeContext: { ForwardContext(batch: $0, length: length, cosine: empty, sine: empty) },
      seed: seed, report: { _ in })
  }

  func solution(
    _ method: some QuantizationMethod, _ scheme: WeightScheme, seed: UInt64 = 1
  ) throws -> QuantizedTensor {
    let solution = try method.solve(problem(LayerScheme(weights: scheme), seed: seed))
    guard let layer = solution.layers["layer"] else {
      throw MethodError("no solution for the layer")
    }
    return layer.weight
  }
}

/// A scheme by its usual words.
func scheme(
  bits: Int, _ granularity: Granularity = .channel, symmetric: Bool = true,
  range: RangeRule = .minMSE
) throws -> WeightScheme {
  WeightScheme(
    format: try IntegerFormat(bits: bits), granularity: granularity, symmetric: symmetric,
    range: range)
}

extension QuantizedTensor {
  var codeValues: [Int8] { codes.withBytes { Array($0.bindMemory(to: Int8.self)) } }
}

/// A head without a norm.
struct MatrixHead: OutputHead {
  /// [vocabulary, hidden].
  let weight: Tensor

  func callAsFunction(_ hidden: Tensor) -> Tensor { hidden.linear(weight) }
}
