import HalftoneInference
import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Layers in every number format on the engine's kernels, beside the definition.
@Suite struct PackedFormatTests {
  private let context = ForwardContext(batch: 1, length: 1, cosine: Tensor([0]), sine: Tensor([0]))

  private func layer(
    _ word: String, _ granularity: Granularity, scales: ScaleFormat = .float,
    symmetric: Bool = true,
    rows: Int = 40, columns: Int = 256, inputs: InputQuantizer? = nil
  ) throws -> Linear {
    var generator = SeededGenerator(seed: 8)
    let w = Tensor.normal(shape: [rows, columns], using: &generator)
    let scheme = WeightScheme(
      format: try #require(NumberFormats.named(word)), granularity: granularity,
      symmetric: symmetric, range: .minMax, scales: scales)
    let quantized = try scheme.grids(for: w).quantize(w, format: scheme.format)
    return Linear(name: "layer", weight: .quantized(quantized), inputs: inputs)
  }

  private func expectSame(_ linear: Linear, _ packed: PackedLinear, tolerance: Float = 2e-6) {
    let columns = linear.weight.shape[1]
    for rows in [1, 2, 3, 5, 13, 33] {
      let x = PackedLinearTests.inputs(rows: rows, columns: columns)
      expectClose(packed(x).values, linear(x, context).values, tolerance: tolerance)
    }
  }

  static let words = [
    "e2m1", "nf4", "e3m0", "e1m2", "twin-log4", "log3", "e2m0", "e1m1", "e2m2", "e3m1", "log5",
    "twin-log5", "e3m2", "e2m3", "e4m1", "e5m0", "twin-log6", "e3m3", "e2m4", "twin-log7", "e4m3fn",
    "e4m3all", "e4m3fnuz", "e5m2", "e5m2fnuz", "e3m4", "e2m5", "e4m3b10", "e6m1", "log8",
    "twin-log8", "ternary", "binary", "olive4", "olive4-flint",
  ]

  @Test(arguments: words)
  func `outputs are those of the definition`(_ word: String) throws {
    for granularity in [Granularity.tensor, .channel, .group(16), .group(32), .group(128)] {
      let linear = try layer(word, granularity)
      expectSame(linear, PackedLinear(linear, inputs: .float))
    }
  }

  /// With scales as files of 16 bits have them, a layer takes the bits of its codes and scales.
  @Test func `layers take the memory of their codes`() throws {
    for (word, bits) in [
      ("e2m1", 4), ("nf4", 4), ("e3m2", 6), ("e2m3", 6), ("e2m2", 5), ("e4m3fn", 8), ("e5m2", 8),
      ("twin-log3", 3), ("twin-log8", 8), ("olive4", 4), ("ternary", 2),
    ] {
      let linear = try layer(word, .channel, rows: 64)
      let count = PackedLinear(linear, inputs: .float).byteCount
      let codes = 64 * 256 * bits / 8
      #expect((codes + 64 * 2...codes + 64 * 4).contains(count), "\(word): \(count)")
    }
    let blocks = try layer("e2m1", .group(32), scales: .e8m0, rows: 64)
    #expect(PackedLinear(blocks, inputs: .float).byteCount == 64 * 256 / 2 + 64 * 8 * 2)
    let dual = try layer(
      "int4", .group(32), scales: .rowIntegers, rows: 64,
      inputs: .perToken(format: IntegerFormat.int8, symmetric: true))
    #expect(PackedLinear(dual, inputs: .int8).byteCount == 64 * 256 / 2 + 64 * 8 * 2 + 64 * 4)
  }

  @Test(arguments: ["e2m1", "e3m0", "e1m2", "ternary", "binary"])
  func `small multiples of a number meet integer inputs exactly`(_ word: String) throws {
    for symmetric in [true, false] {
      let linear = try layer(
        word, .group(32), inputs: .perToken(format: IntegerFormat.int8, symmetric: symmetric))
      expectSame(linear, PackedLinear(linear, inputs: .int8))
    }
    let plain = try layer(word, .group(32))
    expectSame(plain, PackedLinear(plain, inputs: .int8), tolerance: 1e-2)
  }

  @Test(arguments: ["nf4", "e3m2", "e4m3fn", "olive4"])
  func `inputs rounded to floats`(_ word: String) throws {
    let linear = try layer(
      word, .channel, inputs: .perToken(format: FloatFormat.e4m3fn, symmetric: true))
    expectSame(linear, PackedLinear(linear, inputs: .int8))
  }

  @Test(arguments: [true, false], [32, 64, 128])
  func `two levels of integers`(symmetric: Bool, group: Int) throws {
    for inputs in [
      InputQuantizer.perToken(format: IntegerFormat.int8, symmetric: true),
      .perToken(format: IntegerFormat.int8, symmetric: false),
      .fixed(
        step: Tensor([0.03]), zero: -20, format: IntegerFormat.int8, gradientScale: 1),
    ] {
      let linear = try layer(
        "int4", .group(group), scales: .rowIntegers, symmetric: symmetric, inputs: inputs)
      guard case .quantized(let weight) = linear.weight else { return }
      #expect(DualMatrix(weight) != nil)
      expectSame(linear, PackedLinear(linear, inputs: .int8))
    }
  }

  /// A weight that eight bits do not hold leaves the layer to the kernel of float scales.
  @Test func `products beyond a byte are not taken for two levels`() throws {
    let codes = Tensor(shape: [2, 64], elementType: .int8) { out in
      for i in out.indices { out[i] = UInt8(bitPattern: Int8(i % 16 - 8)) }
    }
    for (factor, fits) in [(15, true), (16, true), (17, false), (127, false)] {
      let weight = try QuantizedTensor(
        shape: [2, 64], format: IntegerFormat.int4, codes: codes,
        levels: [
          Tensor([Float](repeating: Float(factor), count: 4), shape: [2, 2]),
          Tensor([0.01, 0.02], shape: [2, 1]),
        ])
      #expect((DualMatrix(weight) != nil) == fits)
      let linear = Linear(
        name: "layer", weight: .quantized(weight),
        inputs: .perToken(format: IntegerFormat.int8, symmetric: true))
      expectSame(linear, PackedLinear(linear, inputs: .int8))
    }
  }

  /// LLM.int8(): outliers of the inputs beside integer products.
  @Test(arguments: [true, false], ["int8", "int4", "e2m1"])
  func `outliers of inputs stay floats`(symmetric: Bool, word: String) throws {
    for threshold in [0.001, 1.5, 2.9, 100] as [Float] {
      let inputs = InputQuantizer.dynamic(
        InputScheme(
          format: IntegerFormat.int8, granularity: .token, symmetric: symmetric, dynamic: true,
          outlierThreshold: threshold))
      for granularity in [Granularity.channel, .group(32)] {
        let linear = try layer(word, granularity, inputs: inputs)
        expectSame(linear, PackedLinear(linear, inputs: .int8), tolerance: 4e-6)
      }
    }
  }

  /// Codes without a value are computed as the definition has them: not a number.
  @Test func `codes without a value`() throws {
    let codes = Tensor(shape: [1, 32], elementType: .int8) { out in
      for i in out.indices { out[i] = i == 5 ? 0x7F : 0x38 }
    }
    let weight = try QuantizedTensor(
      shape: [1, 32], format: FloatFormat.e4m3fn, codes: codes,
      levels: [Tensor([1], shape: [1, 1])])
    #expect(weight.levelMatrix() == nil)
    let packed = PackedLinear(Linear(name: "layer", weight: .quantized(weight)), inputs: .float)
    #expect(packed(PackedLinearTests.inputs(rows: 1, columns: 32)).values[0].isNaN)
  }
}
