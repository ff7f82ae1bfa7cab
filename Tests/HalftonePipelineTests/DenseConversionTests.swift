import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftonePipeline
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// What becomes of codes, heads and embeddings that a target cannot hold, and of all in dense files.
@Suite struct DenseConversionTests {
  private let files: ConversionFiles

  init() throws { files = try ConversionFiles() }

  @Test func `what dequantized embeddings lose is said before`() throws {
    let name = "\(ConversionFiles.golden)/mlx/mxfp8"
    let type = try Checkpoint(path: name).storedType(of: "model.norm.weight")
    let notices = try files.convert(name, .compressedTensors, to: "ct")
    #expect(notices.contains { $0.contains("model.embed_tokens: ") && $0.contains("dequantized") })
    #expect(
      notices.contains { $0.contains("rounded to \(type.rawValue)") } == (type != .float32))
    try files.expectSameCodes(
      try Checkpoint(path: name), try files.store("ct"), besides: ["model.embed_tokens"])
  }

  @Test func `dequantized models are those of the codes`() throws {
    let name = "\(ConversionFiles.golden)/gptq/v1-w4-activation-order"
    #expect(try files.convert(name, .safetensors, .float32, to: "f32") == [])
    let ids = Array(0..<12)
    let expected = try ConversionFiles.logits(OpenedModel(path: name).model, ids)
    #expect(
      try ConversionFiles.logits(OpenedModel(path: files.scratch.path + "/f32").model, ids)
        == expected)
    let config = try files.store("f32").config
    #expect(config["quantization_config"] == nil && config["dtype"]?.string == "float32")
    let notices = try files.convert(name, .safetensors, .bfloat16, to: "bf16")
    #expect(
      notices == ["the numbers that codes stand for are rounded to BF16; --dtype f32 keeps them"])
    for name in try files.store("bf16").names {
      #expect(try files.store("bf16").storedType(of: name) == .bfloat16)
    }
    // Half precision is the model's own.
    _ = try files.convert(name, .safetensors, to: "own")
    #expect(try files.store("own").config["dtype"]?.string == "float16")
  }

  /// The parts of a layer's scales differ; none is left beside the numbers.
  @Test(arguments: [
    "bits: 4, group: 4, symmetric: false, scales: int-row",
    "type: fp4, group: 4, scales: pow2-row", "type: nf4, group: 4, scales: nested",
    "bits: 4, group: 4, scales: dyadic8", "bits: 6, scales: dyadic16",
    "type: fp4, group: 4, scales: e4m3", "type: e3m2, scales: e8m0", "bits: 3, group: 4",
  ])
  func `dequantized models have the tensors of the original`(_ scheme: String) throws {
    let source = try files.quantized(scheme, model: "stories260k")
    _ = try files.convert(source, .safetensors, .float32, to: "dense")
    let original = try Checkpoint(path: Repository.path("Resources/models/stories260k"))
    let dense = try files.store("dense")
    #expect(dense.names == original.names)
    for name in dense.names { #expect(try dense.shape(of: name) == original.shape(of: name)) }
  }

  /// A directory in Halftone's own format with a head of NF4, whose inputs are rounded to int8.
  private func quantizedHead() throws -> String {
    let path = files.scratch.path + "/template"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    let modules = ["lm_head", "model.layers.0.mlp.up_proj"]
    let weight = Tensor((0..<8 * 32).map { Float($0 % 11 - 5) }, shape: [8, 32])
    let file = try SafetensorsWriter(
      path: path + "/model.safetensors",
      tensors: modules.map {
        TensorDescription(name: $0 + ".weight", type: .float32, shape: weight.shape)
      })
    for module in modules { try file.write(module + ".weight", weight) }
    try file.finish()
    _ = try files.scratch.write("template/config.json", "{}")
    let inputs = InputScheme(
      format: IntegerFormat.int8, granularity: .token, symmetric: true, dynamic: true)
    let normal = try #require(NumberFormats.named("nf4"))
    let formats: [any NumberFormat] = [normal, IntegerFormat.int8]
    let schemes = formats.map { WeightScheme(format: $0, granularity: .channel, range: .minMax) }
    var options = CompressedTensorsWriter.Options()
    options.method = .halftone
    let writer = try CompressedTensorsWriter(
      output: files.scratch.path + "/own", template: Checkpoint(path: path),
      modules: zip(modules, schemes).map { name, weights in
        CompressedTensorsWriter.Module(name: name, weights: weights, inputs: inputs)
      },
      options: options)
    for (module, scheme) in zip(modules, schemes) {
      let codes = try scheme.grids(for: weight).quantize(weight, format: scheme.format)
      try writer.write(module, codes)
    }
    try writer.finish()
    return files.scratch.path + "/own"
  }

  @Test func `a head that becomes dense does not lose its inputs unsaid`() throws {
    let notices = try files.convert(quantizedHead(), .compressedTensors, to: "ct")
    #expect(notices.count == 2, "\(notices)")
    #expect(notices.allSatisfy { $0.hasPrefix("lm_head: ") }, "\(notices)")
    #expect(notices.first?.contains("so it is dequantized") == true)
    #expect(notices.last?.hasPrefix("lm_head: inputs are int8 token symmetric dynamic, ") == true)
    #expect(try files.store("ct").storedInputScheme("lm_head") == nil)
    #expect(try files.store("ct").storedInputScheme("model.layers.0.mlp.up_proj") != nil)
  }

  @Test func `embeddings of mlx are dequantized for the others`() throws {
    let name = "\(ConversionFiles.golden)/mlx/affine-w4-group64-f16"
    _ = try files.convert(name, .safetensors, .float32, to: "f32")
    let error = #expect(throws: PipelineError.self) { try files.convert(name, .awq, to: "awq") }
    #expect(error?.message.contains("no whole number") == true)
    // With whole zero points, as mlx has them for symmetric codes.
    let source = try files.quantized("bits: 4, granularity: group, group: 64, symmetric: true")
    _ = try files.convert(source, .mlx, .float32, to: "mlx")
    try files.expectSameCodes(try Checkpoint(path: source), try files.store("mlx"))
  }

  @Test func `GGUF files take the codes of all of them`() throws {
    let source = try files.quantized("bits: 4, granularity: group, group: 64, symmetric: false")
    _ = try files.convert(source, .awq, to: "awq")
    let export = try GGUFExport(
      OpenedModel(path: files.scratch.path + "/awq"), mix: try #require(GGUFMix("f16")))
    let types = Set(export.entries.filter { $0.name.contains("_proj") }.map(\.type.name))
    #expect(types == ["Q4_1"])
  }

  @Test(arguments: [
    ("gptq/v1-w4-activation-order", "activation order"), ("mlx/affine-w6-group32", "offsets"),
  ])
  func `GGUF files get the numbers of codes that they cannot hold`(
    _ name: String, _ reason: String
  ) throws {
    let folder = files.scratch.path + "/model"
    try FileManager.default.copyItem(atPath: "\(ConversionFiles.golden)/\(name)", toPath: folder)
    let words = (0..<32).map { "\"\($0 < 3 ? "<\($0)>" : "w\($0)")\": \($0)" }
    _ = try files.scratch.write(
      "model/tokenizer.json",
      """
      {"added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "ByteLevel",
      "add_prefix_space": false, "trim_offsets": true, "use_regex": true}, "post_processor": null,
      "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
      "use_regex": true}, "model": {"type": "BPE", "vocab": {\(words.joined(separator: ", "))},
      "merges": []}}
      """)
    let export = try GGUFExport(OpenedModel(path: folder), mix: try #require(GGUFMix("f16")))
    #expect(export.notices.contains { $0.contains(reason) && $0.contains("stored as F16") })
    let types = Set(export.entries.filter { $0.name.contains("_proj") }.map(\.type.name))
    #expect(types == ["F16"])
  }

  @Test func `GGUF files have no place for scales of our own`() throws {
    let model = try OpenedModel(path: files.quantized("bits: 4, group: 64, scales: int-row"))
    let mix = try #require(GGUFMix("f16"))
    let error = #expect(throws: PipelineError.self) { try GGUFExport(model, mix: mix) }
    #expect(error?.message.contains("scales or formats of Halftone's own") == true)
  }
}
