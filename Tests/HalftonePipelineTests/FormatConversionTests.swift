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
  private let files: ConversionFiles

  init() throws { files = try ConversionFiles() }

  // MARK: - Reading

  @Test(arguments: [
    "gptq/v1-w4-group32-symmetric", "gptq/v1-w4-activation-order", "gptq/v1-w3-group32-asymmetric",
    "gptq/v2-dynamic", "awq/group32", "mlx/affine-w4-group64-f16", "mlx/affine-w4-group32-partly",
    "mlx/affine-w6-group32", "mlx/mixed", "mlx/mxfp8", "mlx/nvfp4",
  ])
  func `a file of another tool gives the logits of transformers`(_ name: String) throws {
    let expected = try StoredWeights("\(ConversionFiles.golden)/\(name)/golden.safetensors")
    let ids = try expected.tensor("ids").float().values.map { Int($0) }
    let reference = try expected.tensor("logits").float().values
    let opened = try OpenedModel(path: "\(ConversionFiles.golden)/\(name)")
    #expect(opened.isQuantized)
    let found = try ConversionFiles.logits(opened.model, ids, batch: 2)
    let largest = reference.reduce(0) { max($0, abs($1)) }
    let distance = zip(found, reference).reduce(0) { max($0, abs($1.0 - $1.1)) } / largest
    // Halves that mlx computes the norms with, where the model is one of halves.
    #expect(distance < 1e-4, "\(distance)")
  }

  @Test(arguments: ["gptq/v2-dynamic", "awq/group32", "mlx/affine-w4-group32-partly"])
  func `a quantized model is not quantized again`(_ name: String) throws {
    let error = #expect(throws: PipelineError.self) {
      try OpenedModel(path: "\(ConversionFiles.golden)/\(name)").layout()
    }
    #expect(error?.message.contains("is quantized already") == true)
  }

  @Test func `inspection shows what other tools made`() throws {
    let found = try Inspection(path: "\(ConversionFiles.golden)/gptq/v1-w4-activation-order")
    #expect(found.layers.count == 7)
    #expect(
      found.layers.first?.scheme == "int4 group 32 symmetric, groups in activation order")
    let mlx = try Inspection(path: "\(ConversionFiles.golden)/mlx/mixed")
    // The embedding among them, o_proj not.
    #expect(mlx.layers.count == 7)
    #expect(mlx.layers.map(\.name).contains("model.embed_tokens"))
  }

  // MARK: - Converting

  @Test func `codes go around through every format`() throws {
    let source = try files.quantized("bits: 4, granularity: group, group: 64, symmetric: false")
    let first = try files.convert(source, .gptqV2, to: "gptq")
    #expect(first.count == 1 && first[0].contains("scales are rounded to F16"), "\(first)")
    // From here on scales are halves and nothing is lost.
    #expect(try files.convert(files.scratch.path + "/gptq", .awq, to: "awq") == [])
    #expect(try files.convert(files.scratch.path + "/awq", .mlx, .float32, to: "mlx") == [])
    #expect(try files.convert(files.scratch.path + "/mlx", .compressedTensors, to: "ct") == [])
    #expect(try files.convert(files.scratch.path + "/ct", .gptqV2, to: "again") == [])
    for name in ["gptq", "awq", "mlx", "ct", "again"] {
      try files.expectSameCodes(try Checkpoint(path: source), try files.store(name))
    }
    let (a, b) = (try files.store("gptq"), try files.store("again"))
    #expect(a.names == b.names)
    for name in a.names {
      #expect(try a.tensor(name).hasSameBits(as: b.tensor(name)), "\(name)")
    }
    let side = try FileManager.default.contentsOfDirectory(atPath: files.scratch.path + "/ct")
      .sorted()
    #expect(side.contains("tokenizer.json") && !side.contains("quantize_config.json"))
  }

  @Test func `numbers of channels and wider codes go around too`() throws {
    let source = try files.quantized("bits: 8, granularity: channel, symmetric: true")
    _ = try files.convert(source, .gptq, to: "gptq")
    _ = try files.convert(files.scratch.path + "/gptq", .mlx, .float32, to: "mlx")
    _ = try files.convert(files.scratch.path + "/mlx", .compressedTensors, to: "ct")
    try files.expectSameCodes(try Checkpoint(path: source), try files.store("ct"))
    let config = try files.store("gptq").config
    #expect(config["quantization_config"]?["group_size"]?.int == -1)
    #expect(config["quantization_config"]?["sym"]?.bool == true)
    #expect(try files.store("mlx").config["quantization"]?["group_size"]?.int == 128)
  }

  @Test(arguments: ["e2m1|mxfp4", "e2m1|nvfp4"])
  func `floats go to mlx where it has them`(_ name: String) throws {
    let format = String(name.split(separator: "|")[1])
    let source = try files.quantized("type: \(format)")
    if format == "nvfp4" {
      let error = #expect(throws: PipelineError.self) { try files.convert(source, .mlx, to: "mlx") }
      #expect(error?.message.contains("scale for a whole matrix") == true)
    } else {
      #expect(try files.convert(source, .mlx, to: "mlx") == [])
      try files.expectSameCodes(try Checkpoint(path: source), try files.store("mlx"))
    }
    let error = #expect(throws: PipelineError.self) { try files.convert(source, .gptq, to: "gptq") }
    #expect(error?.message.contains("not e2m1") == true, "\(String(describing: error))")
    #expect(try !files.scratch.entries().contains("gptq"))
  }

  @Test func `what does not fit is refused by name`() throws {
    let source = try files.quantized("bits: 3, granularity: group, group: 32, symmetric: false")
    let error = #expect(throws: PipelineError.self) { try files.convert(source, .awq, to: "awq") }
    #expect(
      error?.message.contains("down_proj: AWQ files hold integers of 4 bits, not int3") == true)
    #expect(error?.message.contains("--format safetensors") == true)
    #expect(try files.scratch.entries() == ["source"])
    let dense = #expect(throws: PipelineError.self) {
      try files.convert(Repository.path("Resources/models/books-7m"), .awq, to: "awq")
    }
    #expect(dense?.message.contains("is not quantized") == true)
    // Rows of 172 are no whole words.
    let narrow = #expect(throws: PipelineError.self) {
      try FormatConversion(
        OpenedModel.store("\(ConversionFiles.golden)/compressed-tensors/w4-channel-symmetric"),
        to: .gptq)
    }
    #expect(narrow?.message.contains("32 rows and columns") == true)
    let reordered = #expect(throws: PipelineError.self) {
      try FormatConversion(
        OpenedModel.store("\(ConversionFiles.golden)/gptq/v1-w4-activation-order"), to: .awq)
    }
    #expect(reordered?.message.contains("activation order") == true)
  }

  @Test func `offsets between whole steps are kept in mlx only`() throws {
    let path = "\(ConversionFiles.golden)/mlx/affine-w3-group32-bf16"
    #expect(try files.convert(path, .mlx, to: "mlx") == [])
    let (a, b) = (try Checkpoint(path: path), try files.store("mlx"))
    for name in a.names {
      #expect(try a.withBytes(of: name) { Data($0) } == b.withBytes(of: name) { Data($0) })
    }
    let error = #expect(throws: PipelineError.self) { try files.convert(path, .gptqV2, to: "gptq") }
    #expect(error?.message.contains("is no whole number of 0 to 7") == true)
  }

  @Test func `inputs that a file does not say are left out and named`() throws {
    let source = try files.quantized(
      "bits: 8, granularity: channel, symmetric: true",
      inputs: "inputs: { type: int, bits: 8, granularity: token, dynamic: true }")
    let notices = try files.convert(source, .gptq, to: "gptq")
    #expect(notices.contains { $0.contains("which no GPTQ file says; this is left out") })
    #expect(try files.convert(source, .compressedTensors, to: "ct") == [])
    let scheme = try files.store("ct").storedScheme("model.layers.0.mlp.up_proj")
    #expect(scheme?.inputs != nil)
  }

  @Test func `layers of several schemes have rules of their own`() throws {
    let name = "\(ConversionFiles.golden)/gptq/v2-dynamic"
    _ = try files.convert(name, .gptqV2, to: "again")
    let config = try files.store("again").config["quantization_config"]
    let rules = config?["dynamic"]?.object?.keys ?? []
    #expect(rules.contains(#"-:^model\.layers\.0\.self_attn\.o_proj$"#), "\(rules)")
    try files.expectSameCodes(try Checkpoint(path: name), try files.store("again"))
    for module in try files.store("again").quantizedModules() {
      #expect(
        try files.store("again").storedScheme(module) == Checkpoint(path: name).storedScheme(module)
      )
    }
    _ = try files.convert("\(ConversionFiles.golden)/mlx/mixed", .mlx, to: "mlx")
    try files.expectSameCodes(
      try Checkpoint(path: "\(ConversionFiles.golden)/mlx/mixed"), try files.store("mlx"))
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
    let name = "\(ConversionFiles.golden)/gptq/v1-w4-activation-order"
    #expect(try files.convert(name, .gptqV2, to: "two") == [])
    #expect(try files.store("two").config["quantization_config"]?["desc_act"]?.bool == true)
    #expect(try files.convert(files.scratch.path + "/two", .gptq, to: "one") == [])
    try expectSameTensors(try Checkpoint(path: name), try files.store("one"))
    let ids = Array(0..<12)
    let expected = try ConversionFiles.logits(OpenedModel(path: name).model, ids)
    #expect(
      try ConversionFiles.logits(OpenedModel(path: files.scratch.path + "/two").model, ids)
        == expected)
  }

  @Test func `activation order goes from compressed-tensors to GPTQ alone`() throws {
    let name = "\(ConversionFiles.golden)/compressed-tensors/w4-group32-activation-order"
    #expect(try files.convert(name, .gptq, to: "gptq") == [])
    let (a, b) = (try Checkpoint(path: name), try files.store("gptq"))
    for module in try a.quantizedModules() {
      let one = try #require(try a.reorderedWeight(module))
      let other = try #require(try b.reorderedWeight(module))
      #expect(one.order == other.order)
      #expect(one.weight.codes.hasSameBits(as: other.weight.codes))
      #expect(one.weight.dequantized().hasSameBits(as: other.weight.dequantized()))
    }
    for target in [FormatConversion.Target.compressedTensors, .awq, .mlx] {
      for source in [name, files.scratch.path + "/gptq"] {
        let error = #expect(throws: PipelineError.self) {
          try files.convert(source, target, to: "no")
        }
        let message = try #require(error?.message)
        #expect(message.contains("_proj: its groups are in activation order"), "\(message)")
        #expect(message.split(separator: "--format safetensors").count == 2, "\(message)")
      }
    }
    #expect(try files.scratch.entries() == ["gptq"])
  }

  @Test func `nothing is replaced unasked`() throws {
    let name = "\(ConversionFiles.golden)/awq/group32"
    _ = try files.convert(name, .gptqV2, to: "out")
    #expect(throws: CheckpointError.self) { try files.convert(name, .gptqV2, to: "out") }
    let again = try FormatConversion(OpenedModel.store(name), to: .gptqV2)
    _ = try again.write(to: files.scratch.path + "/out", overwriting: true)
    #expect(try files.scratch.entries() == ["out"])
  }

  @Test func `an output that a killed run had moved away is put back`() throws {
    let name = "\(ConversionFiles.golden)/awq/group32"
    _ = try files.convert(name, .gptqV2, to: "out")
    let (path, moved) = (
      files.scratch.path + "/out", files.scratch.path + "/.out.halftone-replaced"
    )
    try FileManager.default.moveItem(atPath: path, toPath: moved)
    #expect(throws: CheckpointError.self) { try files.convert(name, .gptqV2, to: "out") }
    #expect(try files.scratch.entries() == ["out"])
    _ = try files.store("out")
    // One that was replaced, and not removed, goes.
    try FileManager.default.copyItem(atPath: path, toPath: moved)
    #expect(throws: CheckpointError.self) { try files.convert(name, .gptqV2, to: "out") }
    #expect(try files.scratch.entries() == ["out"])
  }
}
