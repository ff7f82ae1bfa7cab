import HalftoneInference
import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

@Suite struct PackedLinearTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var bits: Int
    var group: Int?
    var zeros = false
    var inputs: InputQuantizer?

    var testDescription: String {
      "W\(bits) group \(group.map(String.init) ?? "channel"), zeros \(zeros), inputs \(inputs as Any)"
    }
  }

  static let cases: [Case] = [2, 3, 4, 5, 6, 8].flatMap { bits in
    [32, 64, 128, nil].flatMap { group in
      [
        Case(bits: bits, group: group),
        Case(bits: bits, group: group, zeros: true),
        Case(
          bits: bits, group: group, inputs: .perToken(format: IntegerFormat.int8, symmetric: true)),
        Case(
          bits: bits, group: group, zeros: true,
          inputs: .perToken(format: IntegerFormat.int8, symmetric: false)),
        Case(
          bits: bits, group: group, inputs: .perToken(format: IntegerFormat.int4, symmetric: true)),
        Case(
          bits: bits, group: group,
          inputs: .fixed(
            step: Tensor([0.03]), zero: -20, format: IntegerFormat.int8, gradientScale: 1)),
      ]
    }
  }

  /// A layer of random codes.
  static func layer(_ c: Case, rows: Int, columns: Int) throws -> Linear {
    var random = SeededGenerator(seed: 5)
    let format = try IntegerFormat(bits: c.bits)
    let groups = c.group.map { columns / $0 } ?? 1
    let codes = Tensor(shape: [rows, columns], elementType: .int8) { out in
      for i in 0..<rows * columns {
        out[i] = UInt8(bitPattern: Int8(Int.random(in: format.low...format.high, using: &random)))
      }
    }
    let scales = (0..<rows * groups).map { _ in Float.random(in: 0.01...0.02, using: &random) }
    let zeros = (0..<rows * groups).map { _ in
      Float(Int.random(in: format.low...format.high, using: &random))
    }
    let weight = try QuantizedTensor(
      shape: [rows, columns], format: format, codes: codes,
      levels: [Tensor(scales, shape: [rows, groups])],
      zeroPoints: c.zeros ? Tensor(zeros, shape: [rows, groups]) : nil)
    return Linear(name: "layer", weight: .quantized(weight), inputs: c.inputs)
  }

  static func inputs(rows: Int, columns: Int) -> Tensor {
    var random = SeededGenerator(seed: 11)
    return Tensor(
      (0..<rows * columns).map { _ in Float.random(in: -2...3, using: &random) },
      shape: [rows, columns])
  }

  @Test(arguments: cases)
  func `outputs are those of the fake-quantized layer`(_ c: Case) throws {
    let context = ForwardContext(batch: 1, length: 1, cosine: Tensor([0]), sine: Tensor([0]))
    let linear = try Self.layer(c, rows: 40, columns: 256)
    let packed = PackedLinear(linear, inputs: .float)
    for rows in [1, 2, 3, 5, 8, 13, 33] {
      let x = Self.inputs(rows: rows, columns: 256)
      expectClose(packed(x).values, linear(x, context).values, tolerance: 2e-6)
    }
  }

  @Test func `inputs rounded in groups change outputs by their rounding only`() throws {
    let context = ForwardContext(batch: 1, length: 1, cosine: Tensor([0]), sine: Tensor([0]))
    let linear = try Self.layer(Case(bits: 4, group: 32), rows: 64, columns: 512)
    let x = Self.inputs(rows: 9, columns: 512)
    let packed = PackedLinear(linear, inputs: .int8)
    expectClose(packed(x).values, linear(x, context).values, tolerance: 1e-2)
  }

  @Test func `bfloat16 weights are exact for inputs that bfloat16 holds`() throws {
    let context = ForwardContext(batch: 1, length: 1, cosine: Tensor([0]), sine: Tensor([0]))
    let weight = Self.inputs(rows: 37, columns: 70).converted(to: .bfloat16)
    let linear = Linear(name: "layer", weight: .dense(weight))
    let x = Self.inputs(rows: 9, columns: 70).converted(to: .bfloat16).float()
    for inputs in EngineOptions.Inputs.allCases {
      let packed = PackedLinear(linear, inputs: inputs)
      expectClose(packed(x).values, linear(x, context).values, tolerance: 2e-6)
    }
  }
}
