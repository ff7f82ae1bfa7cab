import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftonePipeline
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Files of other tools, run and converted into each other; that those tools load what is written is
/// Scripts/interop/external_files.py.
@Suite struct FormatConversionTests {
  private let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private static let golden = Repository.path("Tests/HalftoneCheckpointsTests/Golden")

  private func logits(_ model: any LanguageModel, _ ids: [Int], batch: Int = 1) throws -> [Float] {
    let context = model.context(batch: batch, length: ids.count / batch, start: 0)
    var hidden = try model.embed(ids)
    for index in 0..<model.blockCount { hidden = try model.block(index)(hidden, context) }
    return try model.logits(hidden).values
  }

  // MARK: - Reading

  @Test(arguments: [
    "gptq/v1-w4-group32-symmetric", "gptq/v1-w4-activation-order", "gptq/v1-w3-group32-asymmetric",
    "gptq/v2-dynamic", "awq/group32", "mlx/affine-w4-group64-f16", "mlx/affine-w4-group32-partly",
    "mlx/affine-w6-group32", "mlx/mixed", "mlx/mxfp8", "mlx/nvfp4",
  ])
  func `a file of another tool gives the logits of transformers`(_ name: String) throws {
    let expected = try StoredWeights("\(Self.golden)/\(name)/golden.safetensors")
    let ids = try expected.tensor("ids").float().values.map { Int($0) }
    let reference = try expected.tensor("logits").float().values
    let opened = try OpenedModel(path: "\(Self.golden)/\(name)")
    #expect(opened.isQuantized)
    let found = try logits(opened.model, ids, batch: 2)
    let largest = reference.reduce(0) { max($0, abs($1)) }
    let distance = zip(found, reference).reduce(0) { max($0, abs($1.0 - $1.1)) } / largest
    // Halves that mlx computes the norms with, where the model is one of halves.
    #expect(distance < 1e-4, "\(distance)")
  }

  @Test(arguments: ["gptq/v2-dynamic", "awq/group32", "mlx/affine-w4-group32-partly"])
  func `a quantized model is not quantized again`(_ name: String) throws {
    let error = #expect(throws: PipelineError.self) {
      try OpenedModel(path: "\(Self.golden)/\(name)").layout()
    }
    #expect(error?.message.contains("is quantized already") == true)
  }

  @Test func `inspection shows what other tools made`() throws {
    let found = try Inspection(path: "\(Self.golden)/gptq/v1-w4-activation-order")
    #expect(found.layers.count == 7)
    #expect(
      found.layers.first?.scheme == "int4 group 32 symmetric, groups in activation order")
    let mlx = try Inspection(path: "\(Self.golden)/mlx/mixed")
    // The embedding among them, o_proj not.
    #expect(mlx.layers.count == 7)
    #expect(mlx.layers.map(\.name).contains("model.embed_tokens"))
  }

  // MARK: - Converting

  /// stories260k does not have rows of whole words everywhere; books-7m has.
  private func quantized(
    _ weights: String, inputs: String = "", model: String = "books-7m"
  ) throws -> String {
    let recipe = try Recipe(
      yaml: """
        scheme:
          weights: { \(weights), range: min-max }
          \(inputs)
        steps: [ rtn ]
        """, source: "test")
    let options = QuantizationOptions(
      model: Repository.path("Resources/models/" + model), recipe: recipe,
      output: scratch.path + "/source")
    _ = try QuantizationRun(options)()
    return options.output
  }

  private func convert(
    _ path: String, _ target: FormatConversion.Target, _ type: ElementType? = nil, to name: String
  ) throws -> [String] {
    let conversion = try FormatConversion(OpenedModel.store(path), to: target, type: type)
    _ = try conversion.write(to: "\(scratch.path)/\(name)")
    return conversion.notices
  }

  private func store(_ name: String) throws -> Checkpoint {
    try Checkpoint(path: "\(scratch.path)/\(name)")
  }

  private func expectSameCodes(
    _ a: Checkpoint, _ b: Checkpoint, _ location: SourceLocation = #_sourceLocation
  ) throws {
    let modules = try a.quantizedModules()
    #expect(try b.quantizedModules() == modules, sourceLocation: location)
    for module in modules {
      guard case .quantized(let one) = try a.linearWeight(module),
        case .quantized(let other) = try b.linearWeight(module)
      else {
        Issue.record("\(module) has no codes", sourceLocation: location)
        continue
      }
      #expect(one.codes.hasSameBits(as: other.codes), "\(module)", sourceLocation: location)
      #expect(one.format.name == other.format.name, sourceLocation: location)
    }
  }

  @Test func `codes go around through every format`() throws {
    let source = try quantized("bits: 4, granularity: group, group: 64, symmetric: false")
    let first = try convert(source, .gptqV2, to: "gptq")
    #expect(first.count == 1 && first[0].contains("scales are rounded to F16"), "\(first)")
    // From here on scales are halves and nothing is lost.
    #expect(try convert(scratch.path + "/gptq", .awq, to: "awq") == [])
    #expect(try convert(scratch.path + "/awq", .mlx, .float32, to: "mlx") == [])
    #expect(try convert(scratch.path + "/mlx", .compressedTensors, to: "ct") == [])
    #expect(try convert(scratch.path + "/ct", .gptqV2, to: "again") == [])
    for name in ["gptq", "awq", "mlx", "ct", "again"] {
      try expectSameCodes(try Checkpoint(path: source), try store(name))
    }
    let (a, b) = (try store("gptq"), try store("again"))
    #expect(a.names == b.names)
    for name in a.names {
      #expect(try a.tensor(name).hasSameBits(as: b.tensor(name)), "\(name)")
    }
    let side = try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/ct").sorted()
    #expect(side.contains("tokenizer.json") && !side.contains("quantize_config.json"))
  }

  @Test func `numbers of channels and wider codes go around too`() throws {
    let source = try quantized("bits: 8, granularity: channel, symmetric: true")
    _ = try convert(source, .gptq, to: "gptq")
    _ = try convert(scratch.path + "/gptq", .mlx, .float32, to: "mlx")
    _ = try convert(scratch.path + "/mlx", .compressedTensors, to: "ct")
    try expectSameCodes(try Checkpoint(path: source), try store("ct"))
    let config = try store("gptq").config
    #expect(config["quantization_config"]?["group_size"]?.int == -1)
    #expect(config["quantization_config"]?["sym"]?.bool == true)
    #expect(try store("mlx").config["quantization"]?["group_size"]?.int == 128)
  }

  @Test(arguments: ["e2m1|mxfp4", "e2m1|nvfp4"])
  func `floats go to mlx where it has them`(_ name: String) throws {
    let format = String(name.split(separator: "|")[1])
    let source = try quantized("type: \(format)")
    if format == "nvfp4" {
      let error = #expect(throws: PipelineError.self) { try convert(source, .mlx, to: "mlx") }
      #expect(error?.message.contains("scale for a whole matrix") == true)
    } else {
      #expect(try convert(source, .mlx, to: "mlx") == [])
      try expectSameCodes(try Checkpoint(path: source), try store("mlx"))
    }
    let error = #expect(throws: PipelineError.self) { try convert(source, .gptq, to: "gptq") }
    #expect(error?.message.contains("not e2m1") == true, "\(String(describing: error))")
    #expect(try !scratch.entries().contains("gptq"))
  }

  @Test func `what does not fit is refused by name`() throws {
    let source = try quantized("bits: 3, granularity: group, group: 32, symmetric: false")
    let error = #expect(throws: PipelineError.self) { try convert(source, .awq, to: "awq") }
    #expect(
      error?.message.contains("down_proj: AWQ files hold integers of 4 bits, not int3") == true)
    #expect(error?.message.contains("--format safetensors") == true)
    #expect(try scratch.entries() == ["source"])
    let dense = #expect(throws: PipelineError.self) {
      try convert(Repository.path("Resources/models/books-7m"), .awq, to: "awq")
    }
    #expect(dense?.message.contains("is not quantized") == true)
    // Rows of 172 are no whole words.
    let narrow = #expect(throws: PipelineError.self) {
      try FormatConversion(
        OpenedModel.store("\(Self.golden)/compressed-tensors/w4-channel-symmetric"), to: .gptq)
    }
    #expect(narrow?.message.contains("32 rows and columns") == true)
    let reordered = #expect(throws: PipelineError.self) {
      try FormatConversion(
        OpenedModel.store("\(Self.golden)/gptq/v1-w4-activation-order"), to: .awq)
    }
    #expect(reordered?.message.contains("activation order") == true)
  }

  @Test func `offsets between whole steps are kept in mlx only`() throws {
    let path = "\(Self.golden)/mlx/affine-w3-group32-bf16"
    #expect(try convert(path, .mlx, to: "mlx") == [])
    let (a, b) = (try Checkpoint(path: path), try store("mlx"))
    for name in a.names {
      #expect(try a.withBytes(of: name) { Data($0) } == b.withBytes(of: name) { Data($0) })
    }
    let error = #expect(throws: PipelineError.self) { try convert(path, .gptqV2, to: "gptq") }
    #expect(error?.message.contains("is no whole number of 0 to 7") == true)
  }

  @Test func `inputs that a file does not say are left out and named`() throws {
    let source = try quantized(
      "bits: 8, granularity: channel, symmetric: true",
      inputs: "inputs: { type: int, bits: 8, granularity: token, dynamic: true }")
    let notices = try convert(source, .gptq, to: "gptq")
    #expect(notices.contains { $0.contains("which no GPTQ file says; this is left out") })
    #expect(try convert(source, .compressedTensors, to: "ct") == [])
    let scheme = try store("ct").storedScheme("model.layers.0.mlp.up_proj")
    #expect(scheme?.inputs != nil)
  }

  @Test func `layers of several schemes have rules of their own`() throws {
    let name = "\(Self.golden)/gptq/v2-dynamic"
    _ = try convert(name, .gptqV2, to: "again")
    let config = try store("again").config["quantization_config"]
    let rules = config?["dynamic"]?.object?.keys ?? []
    #expect(rules.contains(#"-:^model\.layers\.0\.self_attn\.o_proj$"#), "\(rules)")
    try expectSameCodes(try Checkpoint(path: name), try store("again"))
    for module in try store("again").quantizedModules() {
      #expect(
        try store("again").storedScheme(module) == Checkpoint(path: name).storedScheme(module))
    }
    _ = try convert("\(Self.golden)/mlx/mixed", .mlx, to: "mlx")
    try expectSameCodes(try Checkpoint(path: "\(Self.golden)/mlx/mixed"), try store("mlx"))
  }

  private func expectSameTensors(
    _ a: Checkpoint, _ b: Checkpoint, _ location: SourceLocation = #_sourceLocation
  ) throws {
    #expect(a.names == b.names, sourceLocation: location)
    for name in a.names {
      let one = try a.withBytes(of: name) { Data($0) }
      #expect(
        try b.withBytes(of: name) { Data($0) } == one, "\(name)", sourceLocation: location)
    }
  }

  @Test func `groups in activation order stay in it`() throws {
    let name = "\(Self.golden)/gptq/v1-w4-activation-order"
    #expect(try convert(name, .gptqV2, to: "two") == [])
    #expect(try store("two").config["quantization_config"]?["desc_act"]?.bool == true)
    #expect(try convert(scratch.path + "/two", .gptq, to: "one") == [])
    try expectSameTensors(try Checkpoint(path: name), try store("one"))
    let ids = Array(0..<12)
    let expected = try logits(OpenedModel(path: name).model, ids)
    #expect(try logits(OpenedModel(path: scratch.path + "/two").model, ids) == expected)
  }

  @Test func `activation order goes from compressed-tensors to GPTQ alone`() throws {
    let name = "\(Self.golden)/compressed-tensors/w4-group32-activation-order"
    #expect(try convert(name, .gptq, to: "gptq") == [])
    let (a, b) = (try Checkpoint(path: name), try store("gptq"))
    for module in try a.quantizedModules() {
      let one = try #require(try a.reorderedWeight(module))
      let other = try #require(try b.reorderedWeight(module))
      #expect(one.order == other.order)
      #expect(one.weight.codes.hasSameBits(as: other.weight.codes))
      #expect(one.weight.dequantized().hasSameBits(as: other.weight.dequantized()))
    }
    for target in [FormatConversion.Target.compressedTensors, .awq, .mlx] {
      for source in [name, scratch.path + "/gptq"] {
        let error = #expect(throws: PipelineError.self) { try convert(source, target, to: "no") }
        let message = try #require(error?.message)
        #expect(message.contains("_proj: its groups are in activation order"), "\(message)")
        #expect(message.split(separator: "--format safetensors").count == 2, "\(message)")
      }
    }
    #expect(try scratch.entries() == ["gptq"])
  }

  @Test func `what dequantized embeddings lose is said before`() throws {
    let name = "\(Self.golden)/mlx/mxfp8"
    let type = try Checkpoint(path: name).storedType(of: "model.norm.weight")
    let notices = try convert(name, .compressedTensors, to: "ct")
    #expect(notices.contains { $0.contains("model.embed_tokens: ") && $0.contains("dequantized") })
    #expect(
      notices.contains { $0.contains("rounded to \(type.rawValue)") } == (type != .float32))
    try expectSameCodes(try store("ct"), try store("ct"))
  }

  @Test func `dequantized models are those of the codes`() throws {
    let name = "\(Self.golden)/gptq/v1-w4-activation-order"
    #expect(try convert(name, .safetensors, .float32, to: "f32") == [])
    let ids = Array(0..<12)
    let expected = try logits(OpenedModel(path: name).model, ids)
    #expect(try logits(OpenedModel(path: scratch.path + "/f32").model, ids) == expected)
    let config = try store("f32").config
    #expect(config["quantization_config"] == nil && config["dtype"]?.string == "float32")
    let notices = try convert(name, .safetensors, .bfloat16, to: "bf16")
    #expect(
      notices == ["the numbers that codes stand for are rounded to BF16; --dtype f32 keeps them"])
    for name in try store("bf16").names {
      #expect(try store("bf16").storedType(of: name) == .bfloat16)
    }
    // Half precision is the model's own.
    _ = try convert(name, .safetensors, to: "own")
    #expect(try store("own").config["dtype"]?.string == "float16")
  }

  /// The parts of a layer's scales differ; none is left beside the numbers.
  @Test(arguments: [
    "bits: 4, group: 4, symmetric: false, scales: int-row",
    "type: fp4, group: 4, scales: pow2-row", "type: nf4, group: 4, scales: nested",
    "bits: 4, group: 4, scales: dyadic8", "bits: 6, scales: dyadic16",
    "type: fp4, group: 4, scales: e4m3", "type: e3m2, scales: e8m0", "bits: 3, group: 4",
  ])
  func `dequantized models have the tensors of the original`(_ scheme: String) throws {
    let source = try quantized(scheme, model: "stories260k")
    _ = try convert(source, .safetensors, .float32, to: "dense")
    let original = try Checkpoint(path: Repository.path("Resources/models/stories260k"))
    let dense = try store("dense")
    #expect(dense.names == original.names)
    for name in dense.names { #expect(try dense.shape(of: name) == original.shape(of: name)) }
  }

  /// A directory in Halftone's own format with a head of NF4, whose inputs are rounded to int8.
  private func quantizedHead() throws -> String {
    let path = scratch.path + "/template"
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
    _ = try scratch.write("template/config.json", "{}")
    let inputs = InputScheme(
      format: IntegerFormat.int8, granularity: .token, symmetric: true, dynamic: true)
    let normal = try #require(NumberFormats.named("nf4"))
    let formats: [any NumberFormat] = [normal, IntegerFormat.int8]
    let schemes = formats.map { WeightScheme(format: $0, granularity: .channel, range: .minMax) }
    var options = CompressedTensorsWriter.Options()
    options.method = .halftone
    let writer = try CompressedTensorsWriter(
      output: scratch.path + "/own", template: Checkpoint(path: path),
      modules: zip(modules, schemes).map { name, weights in
        CompressedTensorsWriter.Module(name: name, weights: weights, inputs: inputs)
      },
      options: options)
    for (module, scheme) in zip(modules, schemes) {
      let codes = try scheme.grids(for: weight).quantize(weight, format: scheme.format)
      try writer.write(module, codes)
    }
    try writer.finish()
    return scratch.path + "/own"
  }

  @Test func `a head that becomes dense does not lose its inputs unsaid`() throws {
    let notices = try convert(quantizedHead(), .compressedTensors, to: "ct")
    #expect(notices.count == 2, "\(notices)")
    #expect(notices.allSatisfy { $0.hasPrefix("lm_head: ") }, "\(notices)")
    #expect(notices.first?.contains("so it is dequantized") == true)
    #expect(notices.last?.hasPrefix("lm_head: inputs are int8 token symmetric dynamic, ") == true)
    #expect(try store("ct").storedInputScheme("lm_head") == nil)
    #expect(try store("ct").storedInputScheme("model.layers.0.mlp.up_proj") != nil)
  }

  @Test func `embeddings of mlx are dequantized for the others`() throws {
    let name = "\(Self.golden)/mlx/affine-w4-group64-f16"
    _ = try convert(name, .safetensors, .float32, to: "f32")
    let error = #expect(throws: PipelineError.self) { try convert(name, .awq, to: "awq") }
    #expect(error?.message.contains("no whole number") == true)
    // With whole zero points, as mlx has them for symmetric codes.
    let source = try quantized("bits: 4, granularity: group, group: 64, symmetric: true")
    _ = try convert(source, .mlx, .float32, to: "mlx")
    try expectSameCodes(try Checkpoint(path: source), try store("mlx"))
  }

  @Test func `GGUF files take the codes of all of them`() throws {
    let source = try quantized("bits: 4, granularity: group, group: 64, symmetric: false")
    _ = try convert(source, .awq, to: "awq")
    let export = try GGUFExport(
      OpenedModel(path: scratch.path + "/awq"), mix: try #require(GGUFMix("f16")))
    let types = Set(export.entries.filter { $0.name.contains("_proj") }.map(\.type.name))
    #expect(types == ["Q4_1"])
  }

  @Test(arguments: [
    ("gptq/v1-w4-activation-order", "activation order"), ("mlx/affine-w6-group32", "offsets"),
  ])
  func `GGUF files get the numbers of codes that they cannot hold`(
    _ name: String, _ reason: String
  ) throws {
    let folder = scratch.path + "/model"
    try FileManager.default.copyItem(atPath: "\(Self.golden)/\(name)", toPath: folder)
    let words = (0..<32).map { "\"\($0 < 3 ? "<\($0)>" : "w\($0)")\": \($0)" }
    _ = try scratch.write(
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
    let model = try OpenedModel(path: quantized("bits: 4, group: 64, scales: int-row"))
    let mix = try #require(GGUFMix("f16"))
    let error = #expect(throws: PipelineError.self) { try GGUFExport(model, mix: mix) }
    #expect(error?.message.contains("scales or formats of Halftone's own") == true)
  }

  @Test func `nothing is replaced unasked`() throws {
    let name = "\(Self.golden)/awq/group32"
    _ = try convert(name, .gptqV2, to: "out")
    #expect(throws: CheckpointError.self) { try convert(name, .gptqV2, to: "out") }
    let again = try FormatConversion(OpenedModel.store(name), to: .gptqV2)
    _ = try again.write(to: scratch.path + "/out", overwriting: true)
    #expect(try scratch.entries() == ["out"])
  }

  @Test func `an output that a killed run had moved away is put back`() throws {
    let name = "\(Self.golden)/awq/group32"
    _ = try convert(name, .gptqV2, to: "out")
    let (path, moved) = (scratch.path + "/out", scratch.path + "/.out.halftone-replaced")
    try FileManager.default.moveItem(atPath: path, toPath: moved)
    #expect(throws: CheckpointError.self) { try convert(name, .gptqV2, to: "out") }
    #expect(try scratch.entries() == ["out"])
    _ = try store("out")
    // One that was replaced, and not removed, goes.
    try FileManager.default.copyItem(atPath: path, toPath: moved)
    #expect(throws: CheckpointError.self) { try convert(name, .gptqV2, to: "out") }
    #expect(try scratch.entries() == ["out"])
  }
}
