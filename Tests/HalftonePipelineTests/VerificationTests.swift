import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftonePipeline
import HalftoneTestSupport
import Testing

/// What `inspect --verify` finds in checkpoints that are whole, and in such that were changed by a little.
@Suite struct VerificationTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private var output: String { scratch.path + "/out" }
  private static let layer = "model.layers.1.mlp.down_proj"

  /// A quantized checkpoint at ``output``.
  private func quantize(_ scheme: String, model: String = Fixture.model) throws {
    _ = try QuantizationRun(
      QuantizationOptions(
        model: model,
        recipe: try Recipe(yaml: "scheme:\n  \(scheme)\nsteps: [ rtn ]", source: "r"),
        output: output))()
  }

  private func problems(_ path: String? = nil) throws -> [CheckpointProblem] {
    try #require(try Inspection(path: path ?? output, verifies: true).problems)
  }

  /// Replaces bytes of a tensor in the file.
  private func patch(_ name: String, at start: Int, _ bytes: [UInt8]) throws {
    let url = URL(fileURLWithPath: output + "/model.safetensors")
    let file = try SafetensorsFile(path: url.path)
    var data = try Data(contentsOf: url)
    var place = data.count - file.tensors.reduce(0) { $0 + $1.byteCount }
    for tensor in file.tensors {
      if tensor.name == name { break }
      place += tensor.byteCount
    }
    data.replaceSubrange(place + start..<place + start + bytes.count, with: bytes)
    try data.write(to: url)
  }

  /// Changes `config.json` as text.
  private func edit(_ old: String, _ new: String) throws {
    let url = URL(fileURLWithPath: output + "/config.json")
    let text = try String(contentsOf: url, encoding: .utf8)
    #expect(text.contains(old))
    try text.replacingOccurrences(of: old, with: new).write(
      to: url, atomically: true, encoding: .utf8)
  }

  private func bytes(_ x: Float) -> [UInt8] {
    withUnsafeBytes(of: x.bitPattern.littleEndian) { Array($0) }
  }

  @Test(arguments: QuantizationRunTests.schemes.filter { !$0.contains("granularity: tensor, sym") })
  func whatWeWriteIsWhole(_ scheme: String) throws {
    guard !scheme.contains("e3m4") else { return }
    try quantize(scheme)
    #expect(try problems().isEmpty)
  }

  /// Scales of Halftone's own layouts: none is 0, negative or no number, and counts fit.
  @Test(
    arguments: [
      ("type: nf4, group: 4, scales: nested", "weight_scale_mean", [0, 0, 192, 127]),
      ("type: nf4, group: 4, scales: nested", "weight_scale_unit", [0, 0, 128, 191]),
      ("type: nf4, group: 4, scales: nested", "weight_scale_unit", [0, 0, 128, 127]),
      ("type: nf4, group: 4, scales: nested", "weight_scale_mean", [0, 0, 0, 0]),
      ("bits: 4, scales: dyadic8", "weight_scale", [0]),
      ("bits: 4, scales: dyadic16", "weight_scale", [0, 0]),
      ("bits: 4, scales: dyadic16", "weight_scale_shift", [255]),
    ] as [(String, String, [UInt8])])
  func scalesOfOurOwnAreChecked(_ scheme: String, _ tensor: String, _ bytes: [UInt8]) throws {
    try quantize("weights: { \(scheme) }")
    try patch("\(Self.layer).\(tensor)", at: 0, bytes)
    let found = try problems()
    #expect(found.contains { "\($0)".contains(Self.layer) }, "\(found)")
    #expect(throws: CheckpointError.self) { try Checkpoint(path: output).linearWeight(Self.layer) }
  }

  @Test(arguments: [
    "Resources/models/stories260k", "Resources/models/books-7m",
    "Resources/models/stories260k/llama2c/stories260K.bin",
  ]) func originalModelsAreWhole(_ path: String) throws {
    #expect(try problems(Repository.path(path)).isEmpty)
    #expect(try Inspection(path: Repository.path(path)).problems == nil)
  }

  @Test(arguments: [
    (Float(0), "is 0"), (-0.5, "is negative"), (.nan, "NaN or infinity"),
    (.infinity, "NaN or infinity"), (.leastNormalMagnitude / 8, "too small for a normal float"),
  ]) func scalesOutOfRangeAreFound(_ scale: Float, _ words: String) throws {
    try quantize("weights: { bits: 4 }")
    try patch(Self.layer + ".weight_scale", at: 8, bytes(scale))
    let found = try problems()
    #expect(found.count == 1)
    #expect(found.first?.name.hasPrefix(Self.layer) == true)
    #expect(found.first?.problem.contains(words) == true, "\(found)")
    #expect(found.first?.problem.contains("[2") == true && found.first?.remedy.isEmpty == false)
  }

  @Test func paddingMustBeClear() throws {
    // 172 codes of 3 bits end in the seventeenth word of a row.
    try quantize("weights: { bits: 3, symmetric: false }")
    try patch(Self.layer + ".weight_packed", at: 17 * 4 * 3 - 1, [0x80])
    let found = try problems()
    #expect(found.map(\.name) == [Self.layer])
    #expect(
      found.first?.problem.contains("weight_packed has bits set behind the 172 codes of row 2")
        == true)
  }

  @Test func paddingOfZeroPointsMustBeClear() throws {
    // 172 zero points of 3 bits end in the seventeenth word of a column.
    try quantize("weights: { bits: 3, symmetric: false }")
    try patch("model.layers.1.mlp.up_proj.weight_zero_point", at: 17 * 4 - 1, [0x80])
    let found = try problems()
    #expect(found.map(\.name) == ["model.layers.1.mlp.up_proj"])
    #expect(
      found.first?.problem.contains("has bits set behind the 172 zero points of column 0") == true)
  }

  // MARK: - Files of other tools

  private static let golden = Repository.path("Tests/HalftoneCheckpointsTests/Golden")

  @Test(arguments: [
    "gptq/v1-w4-group32-symmetric", "gptq/v1-w4-activation-order", "gptq/v2-dynamic",
    "gptq/v1-w3-group32-asymmetric", "awq/group32", "mlx/affine-w4-group32-partly", "mlx/mixed",
    "mlx/mxfp4", "mlx/mxfp8", "mlx/nvfp4", "compressed-tensors/w4-group32-activation-order",
    "compressed-tensors/cache-fp8", "compressed-tensors/cache-int8-heads",
    "compressed-tensors/mixed-w4-w8", "compressed-tensors/nvfp4",
  ])
  func whatOtherToolsWroteIsWhole(_ name: String) throws {
    let found = try problems("\(Self.golden)/\(name)")
    #expect(found.isEmpty, "\(found)")
  }

  @Test(arguments: [
    ("gptq/v1-w4-activation-order", "\"desc_act\": true", "\"desc_act\": false", "desc_act"),
    ("gptq/v1-w4-group32-symmetric", "\"bits\": 4", "\"bits\": 8", "scales"),
    ("gptq/v1-w4-group32-symmetric", "\"group_size\": 32", "\"group_size\": 16", "scales"),
    ("gptq/v2-dynamic", "mlp", "experts", "which no layer is called"),
    ("gptq/v1-w4-group32-symmetric", "\"hidden_size\": 64", "\"hidden_size\": 96", "96"),
    (
      "compressed-tensors/cache-fp8", "\"kv_cache_scheme\"", "\"other\"",
      "kv_cache_scheme in quantization_config says nothing of it"
    ),
    (
      "compressed-tensors/w8-channel-symmetric", "\"kv_cache_scheme\": null",
      "\"kv_cache_scheme\": {\"type\": \"float\"}", "there is no model.layers.0.self_attn.k_scale"
    ),
    (
      "compressed-tensors/w8-channel-symmetric", "\"kv_cache_scheme\": null",
      "\"kv_cache_scheme\": {\"type\": \"float\", \"dynamic\": true}",
      "symmetric scales that are fixed"
    ),
    (
      "compressed-tensors/cache-fp8", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4",
      "4"
    ),
    (
      "compressed-tensors/nvfp4", "\"input_activations\": null",
      "\"input_activations\": {\"type\": \"float\", \"num_bits\": 4, \"strategy\": "
        + "\"tensor_group\", \"group_size\": 16, \"dynamic\": \"local\"}",
      "input_global_scale is missing"
    ),
    ("awq/group32", "\"group_size\": 32", "\"group_size\": 16", "scales"),
    ("mlx/affine-w4-group32-partly", "\"bits\": 4", "\"bits\": 8", "scales"),
    (
      "mlx/affine-w4-group32-partly", "\"group_size\": 32",
      "\"group_size\": 32, \"model.layers.0.mlp.down_proj\": {\"group_size\": 32, \"bits\": 4}",
      "its weight is dense"
    ),
    ("mlx/mxfp4", "\"mode\": \"mxfp4\"", "\"mode\": \"nvfp4\"", "group_size"),
  ]) func filesOfOtherToolsThatContradictThemselvesAreFound(
    _ name: String, _ old: String, _ new: String, _ words: String
  ) throws {
    try FileManager.default.copyItem(atPath: "\(Self.golden)/\(name)", toPath: output)
    try edit(old, new)
    let found = try problems()
    #expect(found.contains { $0.problem.contains(words) }, "\(found)")
    #expect(found.allSatisfy { !$0.name.isEmpty && !$0.remedy.isEmpty })
  }

  /// One layer's codes are lost: its dense weight is there, where another block has codes.
  @Test(arguments: [FormatConversion.Target.gptqV2, .awq])
  func layersThatLostTheirCodesAreFound(_ target: FormatConversion.Target) throws {
    try quantize(
      "weights: { bits: 4, group: 64, symmetric: false }\n  ignore: [ \"layers.2.mlp.down_proj\" ]",
      model: Repository.path("Resources/models/books-7m"))
    let path = scratch.path + "/converted"
    _ = try FormatConversion(OpenedModel.store(output), to: target).write(to: path)
    #expect(try problems(path).isEmpty)
    try FileManager.default.removeItem(atPath: output)
    try FileManager.default.moveItem(atPath: path, toPath: output)
    let rule = target == .awq ? "down_proj\"" : "down_proj$"
    try edit(rule, rule.replacingOccurrences(of: "down", with: "other"))
    let found = try problems()
    #expect(found.map(\.name) == ["model.layers.2.mlp.down_proj"], "\(found)")
    #expect(found.first?.problem.contains("its weight is dense") == true)
  }

  @Test func codesThatAreNoNumbersAreFound() throws {
    try quantize("weights: { type: fp8 }\n  inputs: { type: fp8 }")
    try patch(Self.layer + ".weight", at: 5, [0x7F])
    let found = try problems()
    #expect(found.map(\.name) == [Self.layer + ".weight"])
    #expect(found.first?.problem.contains("element 5 is a F8_E4M3 that is NaN") == true)
  }

  @Test(arguments: [(Float(0), "not above 0"), (-1, "not above 0"), (.nan, "NaN")])
  func scalesOfKeysMustBeAboveZero(_ scale: Float, _ words: String) throws {
    try FileManager.default.copyItem(
      atPath: "\(Self.golden)/compressed-tensors/cache-int8-heads", toPath: output)
    try patch("model.layers.0.self_attn.k_scale", at: 4, bytes(scale))
    #expect(try problems().contains { $0.problem.contains(words) })
  }

  @Test func denseTensorsMustBeFinite() throws {
    try quantize("weights: { bits: 4 }")
    try patch("model.norm.weight", at: 0, [0, 0, 0xC0, 0x7F])
    let found = try problems()
    #expect(found.map(\.name) == ["model.norm.weight"])
    #expect(found.first?.problem == "tensor model.norm.weight holds NaN or infinity, first at [0]")
  }

  @Test(arguments: [
    ("\"quantization_config\"", "\"other\"", "quantization_config says nothing of it"),
    ("\"ignore\": [", "\"ignore\": [ \"\(layer)\", ", "quantization_config says nothing of it"),
    ("\"num_bits\": 4", "\"num_bits\": 5", "does not hold 5-bit codes"),
    ("\"group_size\": 4", "\"group_size\": 7", "groups of 7 do not divide"),
    ("\"group_size\": 4", "\"group_size\": 2", "a scheme group 2 of"),
    ("\"quant_method\": \"compressed-tensors\"", "\"quant_method\": \"quip\"", "quant_method"),
    ("\"Linear\"", "\"re:.*mlp.*\"", "quantization_config says nothing of it"),
    ("\"Linear\"", "\"Linear\", \"re:.*experts.*\"", "which no layer is called"),
    ("\"num_hidden_layers\": 5", "\"num_hidden_layers\": 4", "num_hidden_layers is 4"),
    ("\"hidden_size\": 64", "\"hidden_size\": 72", "72"),
  ]) func configurationsThatContradictTheTensorsAreFound(
    _ old: String, _ new: String, _ words: String
  ) throws {
    try quantize("weights: { bits: 4, group: 4 }")
    try edit(old, new)
    let found = try problems()
    #expect(found.contains { $0.problem.contains(words) }, "\(found)")
    #expect(found.allSatisfy { !$0.name.isEmpty && !$0.remedy.isEmpty })
  }

  /// Weights of `down_proj` have 172 columns, the others 64.
  @Test func groupsOfInputsMustBeWholeBesideDenseWeights() throws {
    try FileManager.default.copyItem(atPath: Fixture.model, toPath: output)
    try edit(
      "\"vocab_size\": 512",
      """
      "vocab_size": 512, "quantization_config": {"quant_method": "compressed-tensors",
      "config_groups": {"group_0": {"targets": ["Linear"], "weights": null, "input_activations":
      {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32, "dynamic": true,
      "scale_dtype": "torch.uint8"}}}}
      """)
    let found = try problems().filter { $0.name != "config.json" }
    #expect(found.map(\.name) == (0..<5).map { "model.layers.\($0).mlp.down_proj" })
    for problem in found {
      #expect(problem.problem == "input_activations: groups of 32 do not divide 172 inputs")
      #expect(problem.remedy == "correct group_size in quantization_config")
    }
    #expect(throws: (any Error).self) { try OpenedModel(path: output).model.block(1) }
  }

  @Test func layersThatAreToBeQuantizedAndAreNotAreFound() throws {
    try quantize("weights: { bits: 4 }\n  ignore: [ \"*.down_proj\" ]")
    let list = try #require(
      try String(contentsOfFile: output + "/config.json", encoding: .utf8).firstMatch(
        of: /"ignore": \[[^\]]*\]/))
    try edit(String(list.output), "\"ignore\": []")
    let found = try problems()
    #expect(found.count { $0.problem.contains("its weight is dense") } >= 5)
    #expect(found.contains { $0.name == Self.layer })
  }

  /// The shards of another tool, with a head that is not the embedding and an index that is wrong.
  @Test func theIndexAndTiedWeightsAreCompared() throws {
    let path = scratch.path + "/sharded"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    var map: [String: String] = [:]
    let tensors = [
      ("a.safetensors", "lm_head.weight", Float(1)),
      ("b.safetensors", "model.embed_tokens.weight", 2),
    ]
    for (file, name, value) in tensors {
      let writer = try SafetensorsWriter(
        path: path + "/" + file,
        tensors: [TensorDescription(name: name, type: .float32, shape: [1, 1])])
      try withUnsafeBytes(of: value) { try writer.write(name, $0) }
      try writer.finish()
      map[name] = file
    }
    func write(_ name: String, _ value: [String: Any]) throws {
      try JSONSerialization.data(withJSONObject: value).write(
        to: URL(fileURLWithPath: path + "/" + name))
    }
    try write("config.json", ["tie_word_embeddings": true])
    try write(
      "model.safetensors.index.json", ["metadata": ["total_size": 9], "weight_map": map])
    let found = try problems(path)
    #expect(found.map(\.name) == ["lm_head.weight", "model.safetensors.index.json"])
    #expect(found.last?.problem == "total_size is 9, but the tensors take 8 bytes")
  }

  @Test func blocksOfGGUFFilesMustBeFinite() throws {
    let path = scratch.path + "/model.gguf"
    var options = QuantizationOptions(
      model: Repository.path("Resources/models/books-7m"),
      recipe: try Recipe(
        yaml: "scheme: { weights: { bits: 4, group: 32 } }\nsteps: [ rtn ]", source: "r"),
      output: path)
    options.format = .gguf
    _ = try QuantizationRun(options)()
    #expect(try problems(path).isEmpty)
    let store = try GGUFCheckpoint(path: path)
    let name = "model.layers.0.mlp.up_proj.weight"
    var data = try Data(contentsOf: URL(fileURLWithPath: path))
    let start = try store.withBytes(of: name) { try #require(data.range(of: Data($0))).lowerBound }
    data.replaceSubrange(start..<start + 2, with: [0x00, 0x7C])
    try data.write(to: URL(fileURLWithPath: path))
    let found = try problems(path)
    #expect(found.map(\.name) == ["model.layers.0.mlp.up_proj"])
    #expect(found.first?.problem.contains("blocks is NaN or infinite") == true)
  }

  @Test func layersAreDescribed() throws {
    try quantize("weights: { bits: 4, group: 4, symmetric: false }\n  inputs: { bits: 8 }")
    let layer = try #require(Inspection(path: output).layers.first { $0.name == Self.layer })
    #expect(layer.format == "int4" && layer.granularity == "group 4" && layer.symmetric == false)
    #expect(layer.scaleType == "F32" && layer.inputs == "int8 token symmetric dynamic")
    #expect(layer.outliers == nil && layer.lowRank == nil)
    // Beside quantized inputs a byte a code; scales of 32 bits and zero points of 8 for each four.
    #expect(layer.bitsPerWeight == 18)
  }
}
