import Foundation
import HalftoneCheckpoints
import HalftoneSchemes
import HalftoneTensor
import Testing

/// Checkpoints packed by GPTQModel and by mlx-lm (`Scripts/golden`), read and written again.
@Suite struct ExternalFilesGoldenTests {
  static let packed = [
    "gptq/v1-w4-group32-symmetric", "gptq/v1-w4-group32-asymmetric",
    "gptq/v2-w4-channel-symmetric", "gptq/v2-w4-group32-asymmetric",
    "gptq/v1-w3-group32-asymmetric", "gptq/v2-w3-group32-asymmetric",
    "gptq/v1-w2-group32-asymmetric", "gptq/v1-w8-channel-symmetric", "gptq/v2-dynamic",
    "awq/group32", "awq/channel",
  ]
  static let affine = [
    "mlx/affine-w2-group32", "mlx/affine-w3-group32-bf16", "mlx/affine-w4-group64-f16",
    "mlx/affine-w4-group32-partly", "mlx/affine-w5-group32", "mlx/affine-w6-group32",
    "mlx/affine-w8-group32", "mlx/mixed",
  ]
  static let floats = ["mlx/mxfp4", "mlx/mxfp8", "mlx/nvfp4"]

  private static let layers = ["model.layers.0.self_attn.k_proj", "model.layers.0.mlp.down_proj"]

  private func codes(_ store: Checkpoint, _ module: String) throws -> QuantizedTensor? {
    guard case .quantized(let weight) = try store.linearWeight(module) else { return nil }
    return weight
  }

  @Test(arguments: packed) func `codes and numbers are those that were packed`(
    _ name: String
  ) throws {
    let store = try Checkpoint(path: golden(name))
    let expected = try SafetensorsFile(path: golden(name + "/golden.safetensors"))
    for module in Self.layers {
      let weight = try #require(try codes(store, module))
      let middle = 1 << (weight.format.bits - 1)
      let found = weight.codes.float().values.map { $0 + Float(middle) }
      #expect(found == (try expected.tensor(module + ".codes").float().values))
      #expect(weight.dequantized().values == (try expected.tensor(module + ".weight").values))
      #expect(try store.quantizedShape(module) == weight.shape)
    }
  }

  @Test(arguments: [
    "gptq/v1-w4-activation-order", "compressed-tensors/w4-group32-activation-order",
  ])
  func `groups in activation order become numbers, their codes beside them`(
    _ name: String
  ) throws {
    let store = try Checkpoint(path: golden(name))
    let expected = try SafetensorsFile(path: golden(name + "/golden.safetensors"))
    for module in Self.layers {
      guard case .dense(let weight) = try store.linearWeight(module) else {
        Issue.record("\(module) has codes")
        continue
      }
      #expect(weight.values == (try expected.tensor(module + ".weight").values))
      #expect(try store.hasReorderedGroups(module))
      let reordered = try #require(try store.reorderedWeight(module))
      let (columns, codes) = (weight.columns, reordered.weight.codes.float().values)
      let numbers = reordered.weight.dequantized().values
      let stored = try expected.tensor(module + ".codes").float().values
      #expect(reordered.order.columns.sorted() == Array(0..<columns))
      for row in 0..<weight.rows {
        for (place, column) in reordered.order.columns.enumerated() {
          #expect(codes[row * columns + place] + 8 == stored[row * columns + column])
          #expect(numbers[row * columns + place] == weight.values[row * columns + column])
        }
      }
    }
    let plain = try Checkpoint(path: golden("gptq/v2-dynamic"))
    #expect(try !plain.hasReorderedGroups(Self.layers[0]))
    #expect(try plain.reorderedWeight(Self.layers[0])?.order == nil)
  }

  @Test func `rules of single modules are followed`() throws {
    let store = try Checkpoint(path: golden("gptq/v2-dynamic"))
    let prefix = "model.layers.0."
    func grid(_ module: String) throws -> String? {
      try store.storedScheme(prefix + module)?.weights?.grid
    }
    #expect(try grid("self_attn.q_proj") == "int4 group 32 symmetric")
    #expect(try grid("mlp.up_proj") == "int8 channel symmetric")
    #expect(try grid("self_attn.o_proj") == nil)
    let mlx = try Checkpoint(path: golden("mlx/mixed"))
    #expect(
      try mlx.storedScheme(prefix + "self_attn.k_proj")?.weights?.grid
        == "e2m1 group 32 symmetric e8m0 scales")
    #expect(try mlx.storedScheme(prefix + "self_attn.o_proj") == nil)
  }

  /// code · scale + offset and (code − zero) · scale round differently in the last place.
  @Test(arguments: affine) func `affine numbers are those of mlx`(_ name: String) throws {
    try expectNumbers(name, tolerance: 0x1p-21)
  }

  @Test(arguments: floats) func `floats are those of mlx`(_ name: String) throws {
    try expectNumbers(name, tolerance: 0)
  }

  private func expectNumbers(_ name: String, tolerance: Float) throws {
    let store = try Checkpoint(path: golden(name))
    let expected = try SafetensorsFile(path: golden(name + "/golden.safetensors"))
    let modules = expected.tensors.map(\.name).filter { $0.hasSuffix(".weight") }
    #expect(modules.count >= 2)
    for stored in modules {
      let weight = try #require(try codes(store, String(stored.dropLast(7))))
      let reference = try expected.tensor(stored).values
      let largest = reference.reduce(0) { max($0, abs($1)) }
      let distance = zip(weight.dequantized().values, reference).reduce(0) {
        max($0, abs($1.0 - $1.1))
      }
      #expect(distance <= tolerance * largest, "\(stored) \(distance)")
    }
  }

  @Test(arguments: packed + affine + floats) func `is written byte for byte`(_ name: String) throws
  {
    let scratch = try ScratchDirectory()
    let source = try Checkpoint(path: golden(name))
    let modules = try source.quantizedModules()
    let template = try DequantizedCheckpoint(source, as: .float32)
    let (layers, configuration) = try layouts(source, modules, isVersionTwo: name.contains("v2"))
    let writer = try QuantizedCheckpointWriter(
      output: scratch.path + "/out", template: template, layers: layers,
      configuration: configuration)
    for module in modules { try writer.write(module, try #require(try codes(source, module))) }
    try writer.finish()

    let written = try Checkpoint(path: scratch.path + "/out")
    #expect(written.names == source.names)
    for tensor in source.names {
      #expect(try written.description(of: tensor) == source.description(of: tensor))
      // An offset is made from its quotient by the scale, which may be off in the last place of F32.
      let isExact = try !tensor.hasSuffix(".biases") || source.storedType(of: tensor) != .float32
      if isExact {
        #expect(try written.bytes(of: tensor) == source.bytes(of: tensor), "\(tensor)")
      } else {
        let (a, b) = (try written.tensor(tensor).values, try source.tensor(tensor).values)
        #expect(zip(a, b).allSatisfy { abs($0 - $1) <= abs($1) * 0x1p-22 }, "\(tensor)")
      }
    }
    for module in modules {
      let grids = try [written, source].map { try $0.storedScheme(module)?.weights?.grid }
      #expect(grids[0] == grids[1])
    }
  }

  private func layouts(
    _ source: Checkpoint, _ modules: [String], isVersionTwo: Bool
  ) throws -> (QuantizedCheckpointWriter.Layers, JSONValue) {
    func scheme(_ module: String) throws -> (String, [Int], WeightScheme) {
      let scheme = try #require(try source.storedScheme(module)?.weights)
      return (module, try #require(try source.quantizedShape(module)), scheme)
    }
    switch try source.quantization() {
    case .gptq:
      let layers = try modules.map { name in
        let (module, shape, scheme) = try scheme(name)
        return try GPTQLayout(
          module: module, shape: shape, scheme: scheme, version: isVersionTwo ? .two : .one)
      }
      let dense = ["model.layers.0.self_attn.o_proj"].filter { !modules.contains($0) }
      return (.gptq(layers), GPTQConfig.configuration(layers, dense: dense))
    case .awq(let config):
      let layers = try modules.map { name in
        let (module, shape, scheme) = try scheme(name)
        return try AWQLayout(module: module, shape: shape, scheme: scheme, group: config.groupSize)
      }
      return (.awq(layers), AWQConfig.configuration(group: config.groupSize, dense: ["lm_head"]))
    default:
      let layers = try modules.map { name in
        let (module, shape, scheme) = try scheme(name)
        let type = try source.storedType(of: module + ".scales").elementType
        return try MLXLayout(
          module: module, shape: shape, scheme: scheme,
          type: type.flatMap { $0 == .uint8 ? nil : $0 } ?? .float32)
      }
      return (.mlx(layers), MLXConfig.configuration(layers))
    }
  }

  @Test(arguments: [
    ("gptq/v1-w4-group32-symmetric", "quantize_config.json"), ("awq/group32", "quant_config.json"),
    ("gptq/v1-w4-group32-symmetric", "config.json"),
  ])
  func `older files keep their settings elsewhere`(_ name: String, _ file: String) throws {
    let scratch = try ScratchDirectory()
    _ = try scratch.file("model.safetensors", try contents(golden(name + "/model.safetensors")))
    let source = try Checkpoint(path: golden(name))
    var config = source.config
    var settings = try #require(config["quantization_config"])
    for key in ["quant_method", "checkpoint_format", "format", "method"] { settings[key] = nil }
    if file == "quant_config.json" {
      settings = ["w_bit": 4, "q_group_size": 32, "zero_point": true, "version": "GEMM"]
    }
    config["quantization_config"] = file == "config.json" ? settings : nil
    _ = try scratch.file(file, settings.serialized())
    _ = try scratch.file("config.json", config.serialized())
    let store = try Checkpoint(path: scratch.path)
    #expect(try store.quantizedModules() == source.quantizedModules())
    let (a, b) = (try codes(store, Self.layers[0]), try codes(source, Self.layers[0]))
    #expect(try #require(a).dequantized().hasSameBits(as: try #require(b).dequantized()))
    // They do not describe what a dense copy holds.
    let view = try DequantizedCheckpoint(store, as: .float32)
    #expect(!view.sideFiles.contains { $0.hasSuffix(file) })
  }

  @Test func `a directory without codes is itself`() throws {
    let source = try Checkpoint(path: resource("models/stories260k"))
    #expect(try source.quantizedModules().isEmpty)
    let view = try DequantizedCheckpoint(source, as: .float16, casts: true)
    #expect(view.names == source.names)
    for name in source.names {
      let half = try source.tensor(name).converted(to: .float16)
      #expect(try view.tensor(name).hasSameBits(as: half))
      #expect(try view.bytes(of: name) == half.bytes)
    }
  }
}
