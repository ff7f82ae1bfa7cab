import HalftoneInference
import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Layers with low-rank factors on the engine, against the layer's own definition.
@Suite struct LowRankLinearTests {
  @Test(arguments: [nil, InputQuantizer.perToken(format: IntegerFormat.int8, symmetric: true)])
  func factorsAreMultiplied(inputs: InputQuantizer?) throws {
    let c = PackedLinearTests.Case(bits: 4, group: 32, inputs: inputs)
    var linear = try PackedLinearTests.layer(c, rows: 40, columns: 64)
    let x = PackedLinearTests.inputs(rows: 5, columns: 64)
    let plain = PackedLinear(linear, inputs: .float)(x)
    linear.lowRank = try LowRankFactors(
      left: PackedLinearTests.inputs(rows: 40, columns: 3).converted(to: .float16),
      right: PackedLinearTests.inputs(rows: 3, columns: 64).converted(to: .float16))
    let empty = Tensor(repeating: 0, shape: [5, 1])
    let context = ForwardContext(batch: 1, length: 5, cosine: empty, sine: empty)
    let result = PackedLinear(linear, inputs: .float)(x)
    expectClose(result, linear(x, context), tolerance: 1e-5)
    #expect(result.values != plain.values)
  }
}
