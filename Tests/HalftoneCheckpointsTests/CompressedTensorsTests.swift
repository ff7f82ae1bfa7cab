import Foundation
import HalftoneCheckpoints
import HalftoneSchemes
import HalftoneTensor
import Testing

/// What is written is read back: every number of bits, granularity and kind of zero point.
@Suite struct CompressedTensorsTests {
  static let granularities: [Granularity] = [.tensor, .channel, .group(8)]

  /// A model of two layers, an embedding and a norm; rows of 24 columns fill no whole words.
  static func template(_ scratch: ScratchDirectory) throws -> Checkpoint {
    let path = scratch.path + "/template"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let tensors = [
      "model.layers.0.a.weight": noise([10, 24], seed: 1),
      "model.layers.0.b.weight": noise([6, 40], seed: 2),
      "model.layers.0.a.bias": noise([10], seed: 3),
      "model.embed_tokens.weight": noise([7, 24], seed: 4).converted(to: .bfloat16),
      "model.norm.weight": noise([24], seed: 5),
    ]
    let writer = try SafetensorsWriter(
      path: path + "/model.safetensors",
      tensors: tensors.map {
        TensorDescription(name: $0, type: StoredType($1.elementType), shape: $1.shape)
      })
    for (name, tensor) in tensors { try writer.write(name, tensor) }
    try writer.finish()
    let config = #"{"model_type": "x", "rms_norm_eps": 1e-05, "bound": Infinity}"#
    try Data(config.utf8).write(to: URL(fileURLWithPath: path + "/config.json"))
    try Data("{}".utf8).write(to: URL(fileURLWithPath: path + "/tokenizer.json"))
    try Data("old".utf8).write(to: URL(fileURLWithPath: path + "/pytorch_model.bin"))
    return try Checkpoint(path: path)
  }

  static func scheme(_ bits: Int, _ granularity: Granularity, symmetric: Bool) throws
    -> WeightScheme
  {
    WeightScheme(
      format: try IntegerFormat(bits: bits), granularity: granularity, symmetric: symmetric,
      range: .minMax)
  }

  static func quantized(_ store: Checkpoint, _ module: String, _ scheme: WeightScheme) throws
    -> QuantizedTensor
  {
    let weight = try store.tensor(module + ".weight").float()
    return try scheme.grids(for: weight).quantize(weight, format: scheme.format)
  }

  static func expectEqual(_ stored: StoredWeight, _ expected: QuantizedTensor) throws {
    guard case .quantized(let weight) = stored else {
      Issue.record("a dense weight came back")
      return
    }
    #expect(weight.format.values == expected.format.values)
    #expect(weight.codes.bytes == expected.codes.bytes)
    #expect(weight.levels.map(\.shape) == expected.levels.map(\.shape))
    #expect(weight.levels[0].values == expected.levels[0].values)
    #expect(weight.zeroPoints?.values == expected.zeroPoints?.values)
    #expect(weight.dequantized().values == expected.dequantized().values)
  }

  @Test(arguments: 2...8, [true, false])
  func roundTrip(bits: Int, symmetric: Bool) throws {
    let scratch = try ScratchDirectory()
    let template = try Self.template(scratch)
    let inputs: [InputScheme?] = [
      nil,
      InputScheme(
        format: try IntegerFormat(bits: 8), granularity: .token, symmetric: true, dynamic: true),
      InputScheme(
        format: try IntegerFormat(bits: 8), granularity: .tensor, symmetric: false, dynamic: false),
    ]
    for (index, granularity) in Self.granularities.enumerated() {
      for (other, input) in inputs.enumerated() {
        let scheme = try Self.scheme(bits, granularity, symmetric: symmetric)
        let output = scratch.path + "/out-\(index)-\(other)"
        let modules = ["model.layers.0.a", "model.layers.0.b"]
        let writer = try CompressedTensorsWriter(
          output: output, template: template,
          modules: modules.map { .init(name: $0, weights: scheme, inputs: input) })
        var expected: [String: QuantizedTensor] = [:]
        for module in modules {
          let weight = try Self.quantized(template, module, scheme)
          expected[module] = weight
          try writer.write(module, weight, inputs: (scale: 0.125, zeroPoint: -3))
        }
        try writer.finish()

        let written = try Checkpoint(path: output)
        for module in modules {
          try Self.expectEqual(
            written.linearWeight(module), #require(expected[module]))
          let stored = try written.storedInputScheme(module)
          switch input {
          case let input? where input.dynamic: #expect(stored == .dynamic(input))
          case let input?: #expect(stored == .fixed(input, scale: 0.125, zeroPoint: -3))
          case nil: #expect(stored == nil)
          }
        }
        for name in ["model.layers.0.a.bias", "model.embed_tokens.weight", "model.norm.weight"] {
          #expect(try written.bytes(of: name) == template.bytes(of: name))
        }
      }
    }
  }
}
