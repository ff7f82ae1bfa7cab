import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Inputs of which outlying elements stay floats, as LLM.int8() has them.
@Suite struct OutlierInputTests {
  private func quantizer(_ threshold: Float?) -> InputQuantizer {
    .dynamic(
      InputScheme(
        format: IntegerFormat.int8, granularity: .token, symmetric: true, dynamic: true,
        outlierThreshold: threshold))
  }

  /// By the definition: range and codes of a token's other elements, in double precision.
  @Test func outliersStayAndTheOthersShareTheirOwnRange() {
    let x = Tensor([0.5, -1.25, 60, 3, -6, 5.99, 1, 2, 0, 0, 7, 0.1], shape: [3, 4])
    let y = quantizer(6)(x).values
    for row in 0..<3 {
      let elements = x.values[row * 4..<row * 4 + 4]
      let range = elements.filter { abs($0) < 6 }.map { abs(Double($0)) }.max() ?? 0
      let step = range / 127.5
      for (i, element) in elements.enumerated() {
        let expected =
          abs(element) >= 6
          ? Double(element)
          : min(max((Double(element) / step).rounded(.toNearestOrEven), -128), 127) * step
        #expect(abs(Double(y[row * 4 + i]) - expected) < 1e-6)
      }
    }
  }

  /// Above all elements the threshold changes nothing, and below all nothing is rounded.
  @Test func extremes() {
    var generator = SeededGenerator(seed: 3)
    let x = Tensor.normal(shape: [7, 50], using: &generator)
    #expect(quantizer(100)(x).values == quantizer(nil)(x).values)
    #expect(quantizer(1e-20)(x).values == x.values)
    #expect(quantizer(2)(x).values != quantizer(nil)(x).values)
  }

  @Test func aTokenDoesNotDependOnOthers() {
    var generator = SeededGenerator(seed: 4)
    let x = Tensor.normal(shape: [5, 32], using: &generator) * 4
    let together = quantizer(6)(x).values
    for row in 0..<5 {
      #expect(
        quantizer(6)(x.view(row..<row + 1)).values == Array(together[row * 32..<row * 32 + 32]))
    }
  }
}
