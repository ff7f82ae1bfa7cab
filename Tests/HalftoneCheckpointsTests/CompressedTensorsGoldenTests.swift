import Foundation
import HalftoneCheckpoints
import HalftoneSchemes
import HalftoneTensor
import Testing

/// Checkpoints of the compressed-tensors library (`Scripts/golden`), read and written again.
@Suite struct CompressedTensorsGoldenTests {
  static let cases = [
    "mixed-w4-w8", "w2-channel-symmetric", "w3-channel-symmetric", "w3-group32-asymmetric",
    "w4-channel-asymmetric", "w4-channel-symmetric", "w4-group32-asymmetric",
    "w4-group32-symmetric-bf16", "w4-tensor-symmetric", "w8-channel-symmetric", "w8a8-static",
    "w8a8-static-asymmetric", "w8a8-token", "w8a8-token-asymmetric", "fp8-channel",
    "fp8-channel-token", "fp8-tensor-static", "cache-fp8", "cache-int8-heads", "nvfp4", "mxfp4",
    "mxfp6", "mxfp8", "nvfp4-inputs", "mxfp4-inputs", "mxfp6-inputs", "mxfp8-inputs",
  ]

  private func modules(_ store: Checkpoint) -> [String] {
    store.names.filter { $0.hasSuffix(".weight_scale") }.map { String($0.dropLast(13)) }
  }

  @Test(arguments: cases)
  func dequantizesToTheLibrarysWeights(name: String) throws {
    let store = try Checkpoint(path: golden("compressed-tensors/" + name))
    let expected = try SafetensorsFile(
      path: golden("compressed-tensors/\(name)/golden.safetensors"))
    for module in ["model.layers.0.self_attn.k_proj", "model.layers.0.mlp.down_proj"] {
      guard case .quantized(let weight) = try store.linearWeight(module) else {
        Issue.record("\(module) is dense")
        continue
      }
      let reference = try expected.tensor(module + ".weight").values
      // One product of a code's value and a scale: nothing to round differently, but that the library
      // gives NVFP4 as bfloat16.
      let found = weight.dequantized()
      let rounded = name.hasPrefix("nvfp4") ? found.converted(to: .bfloat16).float() : found
      #expect(rounded.values == reference)
    }
    #expect(try store.storedInputScheme("lm_head") == nil)
  }

  @Test(arguments: cases)
  func isWrittenByteForByte(name: String) throws {
    let scratch = try ScratchDirectory()
    let source = try Checkpoint(path: golden("compressed-tensors/" + name))
    let modules = modules(source)
    let template = try dense(source, modules, scratch)
    var options = CompressedTensorsWriter.Options()
    if let type = try source.storedType(of: modules[0] + ".weight_scale").elementType,
      type != .uint8
    {
      options.scaleType = type
    }
    options.cache = try source.cacheScheme()
    let writer = try CompressedTensorsWriter(
      output: scratch.path + "/out", template: template,
      modules: try modules.map { module in
        let scheme = try #require(try source.storedScheme(module))
        return .init(
          name: module, weights: try #require(scheme.weights), inputs: scheme.inputs)
      }, options: options)
    for module in modules {
      guard case .quantized(let weight) = try source.linearWeight(module) else { continue }
      switch try source.storedInputScheme(module) {
      case .fixed(_, let scale, let zero)?:
        try writer.write(module, weight, inputs: (scale, zero))
      case .groups(_, let global)?: try writer.write(module, weight, inputs: (global, 0))
      case .dynamic?, nil: try writer.write(module, weight)
      }
    }
    try writer.finish()

    let folder = golden("compressed-tensors/" + name)
    if name.hasPrefix("nvfp4") {
      try expectSameButGlobalScales(folder, scratch.path + "/out")
    } else {
      let written = try contents(scratch.path + "/out/model.safetensors")
      #expect(written == (try contents(folder + "/model.safetensors")))
    }
    let configs = try [folder, scratch.path + "/out"].map { try Checkpoint(path: $0).config }
    if name != "mixed-w4-w8" {
      #expect(configs[0].serialized(sortedKeys: true) == configs[1].serialized(sortedKeys: true))
    }
  }

  /// Files divide by the global scale, we multiply by its inverse, whose inverse may differ in the last
  /// place.
  private func expectSameButGlobalScales(_ folder: String, _ written: String) throws {
    let (a, b) = (try Checkpoint(path: folder), try Checkpoint(path: written))
    #expect(a.names == b.names)
    for name in a.names {
      if name.hasSuffix("_global_scale") {
        let (x, y) = (try a.tensor(name).scalar, try b.tensor(name).scalar)
        #expect([x.nextDown, x, x.nextUp].contains(y))
      } else {
        let bytes = try [a, b].map { store in try store.withBytes(of: name) { Array($0) } }
        #expect(bytes[0] == bytes[1], "\(name)")
      }
    }
  }

  /// The model before quantization: zeros for the layers, everything else as it is.
  private func dense(_ source: Checkpoint, _ modules: [String], _ scratch: ScratchDirectory) throws
    -> Checkpoint
  {
    let kept = source.names.filter { name in
      !modules.contains { name.hasPrefix($0 + ".") }
    }
    let weights = try modules.map { module in
      guard case .quantized(let weight) = try source.linearWeight(module) else {
        throw CheckpointError(.malformed, module)
      }
      return TensorDescription(name: module + ".weight", type: .bfloat16, shape: weight.shape)
    }
    let folder = scratch.path + "/dense"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let writer = try SafetensorsWriter(
      path: folder + "/model.safetensors",
      tensors: try weights + kept.map { try source.description(of: $0) })
    for weight in weights {
      try [UInt8](repeating: 0, count: weight.byteCount)
        .withUnsafeBytes { try writer.write(weight.name, $0) }
    }
    for name in kept { try source.withBytes(of: name) { try writer.write(name, $0) } }
    try writer.finish()
    var config = source.config
    config["quantization_config"] = nil
    _ = try scratch.file("dense/config.json", config.serialized())
    return try Checkpoint(path: folder)
  }

  @Test func groupsOfSeveralSchemesNameTheirLayers() throws {
    let store = try Checkpoint(path: golden("compressed-tensors/mixed-w4-w8"))
    let attention = try store.storedScheme("model.layers.0.self_attn.q_proj")
    #expect(attention?.weights?.description == "int8 channel symmetric min-max")
    let network = try store.storedScheme("model.layers.0.mlp.up_proj")
    #expect(network?.weights?.description == "int4 group 32 symmetric min-max")
    #expect(try store.storedScheme("lm_head") == nil)
  }
}

extension CompressedTensorsGoldenTests {
  @Test(arguments: cases) func verificationFindsNoProblem(name: String) throws {
    #expect(try Checkpoint(path: golden("compressed-tensors/" + name)).problems().isEmpty)
  }
}
