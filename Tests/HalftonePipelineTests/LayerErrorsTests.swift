import HalftonePipeline
import HalftoneSchemes
import HalftoneTensor
import Testing

@Suite struct LayerErrorsTests {
  // W = [[1, 2]], Ŵ = [[1, 1]], X rows [1, 0], [0, 1], [1, 1]: WX = 1, 2, 3; the error 0, 1, 1;
  // so (0 + 1 + 1)/(1 + 4 + 9) = 1/7. The second candidate is exact.
  @Test func relativeOutputErrorByHand() {
    let weight = Tensor([1, 2], shape: [1, 2])
    let layers = [
      "l": LayerErrors.Candidates(
        weight: weight, rounded: [Tensor([1, 1], shape: [1, 2]), weight])
    ]
    let result = LayerErrors.measure(layers) { body in
      body("l", Tensor([1, 0, 0, 1], shape: [2, 2]))
      body("l", Tensor([1, 1], shape: [1, 2]))
      body("other", Tensor([5], shape: [1, 1]))
    }
    #expect(result.errors == ["l": [1.0 / 7, 0]])
    #expect(result.zeroChannels == ["l": 0])
  }

  @Test func channelsThatAreAlwaysZeroAreCounted() {
    let weight = Tensor([1, 2, 3], shape: [1, 3])
    let layers = ["l": LayerErrors.Candidates(weight: weight, rounded: [weight])]
    let result = LayerErrors.measure(layers) { body in
      body("l", Tensor([0, 1, 0, 0, 2, 0], shape: [2, 3]))
    }
    #expect(result.zeroChannels == ["l": 2])
  }

  /// ‖[0, 1]‖²/‖[1, 2]‖² = 1/5.
  @Test func withoutTextTheWeightsAreCompared() throws {
    let ones = try quantized([1, 1])
    #expect(LayerErrors.onWeights(Tensor([1, 2], shape: [1, 2]), [ones, ones]) == [0.2, 0.2])
  }

  @Test func aLayerWithoutOutputHasNoRelativeError() throws {
    let zero = Tensor([0, 0], shape: [1, 2])
    #expect(LayerErrors.onWeights(zero, [try quantized([0, 0])]) == [0])
  }

  /// One row of codes with scale 1.
  private func quantized(_ codes: [Int8]) throws -> QuantizedTensor {
    let shape = [1, codes.count]
    return try QuantizedTensor(
      shape: shape, format: IntegerFormat(bits: 4),
      codes: Tensor(codes.map { Float($0) }, shape: shape).converted(to: .int8),
      levels: [Tensor([1], shape: [1, 1])])
  }
}
