import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftoneMethods
import HalftonePipeline
import HalftoneReport
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Runs whose steps do more than choose codes: what is written, read back, resumed and refused.
@Suite struct CompensationRunTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  static let everything = """
    scheme: { weights: { bits: 3 } }
    steps:
      - gptq
      - lorc: { rank: 4, activation-aware: true }
      - bias-correction
    """

  private func options(
    _ yaml: String, output: String = "out", model: String = Fixture.model
  ) throws -> QuantizationOptions {
    var options = QuantizationOptions(
      model: model, recipe: try Recipe(yaml: yaml, source: "r.yaml"),
      output: "\(scratch.path)/\(output)")
    options.calibration = [Fixture.text]
    (options.samples, options.length) = (8, 64)
    return options
  }

  private func bytes(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: "\(scratch.path)/\(name)"))
  }

  private func config(_ name: String = "out") throws -> JSONValue {
    try Checkpoint(path: "\(scratch.path)/\(name)").config
  }

  // MARK: - What is written

  @Test(arguments: [
    "[ rtn: {}, lorc: { rank: 4 } ]", "[ rtn: {}, bias-correction: {} ]",
    "[ rtn: {}, lorc: { rank: 2, activation-aware: true }, bias-correction: {} ]",
    "[ quantease: { outliers: 0.01, sweeps: 2 } ]",
  ]) func whatIsWrittenIsWhatWasPlanned(_ steps: String) throws {
    let options = try options("scheme: { weights: { bits: 4 } }\nsteps: \(steps)")
    let plan = try Plan(
      options.recipe, for: OpenedModel(path: Fixture.model).layout(),
      calibration: CalibrationSize(samples: 8, length: 64))
    let record = try QuantizationRun(options)()
    #expect(record.bytesAfter == plan.bytesAfter)
    #expect(abs(record.bitsPerWeight - plan.bitsPerWeight) < 1e-12)
    let inspection = try Inspection(path: options.output)
    #expect(
      inspection.layers.reduce(0) { $0 + $1.bytes } == plan.layers.reduce(0) { $0 + $1.bytesAfter })
    let method = try config()["quantization_config"]?["quant_method"]?.string
    let isOwn = steps.contains("lorc") || steps.contains("outliers")
    #expect(method == (isOwn ? "halftone" : "compressed-tensors"))
    if steps.contains("outliers") {
      #expect(inspection.layers.allSatisfy { $0.scheme.hasSuffix(" outliers") })
    }
    if steps.contains("lorc") {
      #expect(inspection.layers.allSatisfy { $0.scheme.contains(", low rank ") })
    }
  }

  @Test func aModelReadBackComputesWhatTheLayersSay() throws {
    _ = try QuantizationRun(options(Self.everything))()
    let written = try OpenedModel(path: scratch.path + "/out")
    let block = try written.model.block(2)
    let inputs = Tensor(
      (0..<8 * 64).map { Float(($0 * 37) % 101) / 50 - 1 }, shape: [8, 64])
    for linear in block.linears where linear.weight.shape[1] == 64 {
      let factors = try #require(linear.lowRank)
      let bias = try #require(linear.bias)
      #expect(factors.rank == 4)
      let context = written.model.context(batch: 1, length: 8, start: 0)
      let expected = inputs.linear(linear.weight.dense() + factors.product()).addingRow(bias)
      expectClose(linear(inputs, context), expected, tolerance: 1e-5)
      expectClose(
        linear.effectiveWeight(), linear.weight.dense() + factors.product(), tolerance: 0)
    }
    #expect(try config()["attention_bias"] == .bool(true))
    #expect(try config()["mlp_bias"] == .bool(true))
  }

  @Test func correctionLowersTheLayersErrors() throws {
    let scheme = "scheme: { weights: { bits: 3 } }\nsteps: "
    var means: [Double] = []
    for steps in ["[ rtn ]", "[ rtn: {}, lorc: { rank: 4 } ]", "[ rtn: {}, lorc: { rank: 16 } ]"] {
      var options = try options(scheme + steps)
      options.overwrite = true
      means.append(try QuantizationRun(options)().meanErrors.after)
    }
    #expect(means[1] < means[0] && means[2] < means[1], "\(means)")
  }

  /// One key speaks for all layers of a kind: those without a correction get zeros.
  @Test func layersLeftAsTheyAreGetZeroBiases() throws {
    let yaml = """
      scheme: { weights: { bits: 4 }, ignore: [ "layers.*.mlp.*", "layers.1.*" ] }
      steps: [ rtn, bias-correction ]
      """
    _ = try QuantizationRun(options(yaml))()
    let store = try Checkpoint(path: scratch.path + "/out")
    #expect(try config()["attention_bias"] == .bool(true))
    #expect(try config()["mlp_bias"]?.bool != true)
    let prefix = "model.layers."
    #expect(
      try store.tensor(prefix + "1.self_attn.k_proj.bias").values.allSatisfy { $0 == 0 })
    #expect(
      try store.tensor(prefix + "0.self_attn.k_proj.bias").values.contains { $0 != 0 })
    #expect(!store.contains(prefix + "0.mlp.up_proj.bias"))
    _ = try OpenedModel(path: scratch.path + "/out").model.block(1)
  }

  /// A family without such a key: the biases are read here, and other tools are kept away.
  @Test func biasesThatNoKeySpeaksOfAreReadHere() throws {
    let model = scratch.path + "/mistral"
    try FileManager.default.copyItem(atPath: Fixture.model, toPath: model)
    var config = try Checkpoint(path: model).config
    config["model_type"] = .string("mistral")
    try Data(config.serialized().utf8).write(to: URL(fileURLWithPath: model + "/config.json"))
    _ = try QuantizationRun(
      options("scheme: { weights: { bits: 4 } }\nsteps: [ rtn, bias-correction ]", model: model))()
    #expect(try self.config()["quantization_config"]?["quant_method"]?.string == "halftone")
    let block = try OpenedModel(path: scratch.path + "/out").model.block(0)
    #expect(block.linears.allSatisfy { $0.bias != nil })
    let mix = try #require(GGUFMix("q8_0"))
    let error = #expect(throws: PipelineError.self) {
      try GGUFExport(OpenedModel(path: scratch.path + "/out"), mix: mix)
    }
    #expect(error?.message.contains("no GGUF file has a place for") == true)
  }

  // MARK: - Resuming

  static let outliers =
    "scheme: { weights: { bits: 3 } }\nsteps: [ quantease: { outliers: 0.01, sweeps: 2 } ]"

  @Test(arguments: [1, 3, 5], [everything, outliers])
  func aStoppedRunGoesOnToTheSameBytes(_ blocks: Int, recipe: String) throws {
    _ = try QuantizationRun(options(recipe, output: "whole"))()
    var run = QuantizationRun(try options(recipe))
    var asked = 0
    run.shouldStop = {
      asked += 1
      return asked > blocks
    }
    #expect(throws: PipelineError.self) { try run() }
    run.options.resume = true
    run.shouldStop = { false }
    _ = try run()
    for file in ["model.safetensors", "config.json", "recipe.yaml"] {
      #expect(try bytes("out/" + file) == bytes("whole/" + file))
    }
  }

  // MARK: - Refusals

  @Test func ggufHasNoPlaceForAdditions() throws {
    for steps in [
      "[ rtn, lorc ]", "[ rtn, bias-correction ]", "[ quantease: { outliers: 0.01 } ]",
    ] {
      var options = try options(
        "scheme: { weights: { bits: 4, group: 4 } }\nsteps: \(steps)", output: "x.gguf")
      options.format = .gguf
      let error = #expect(throws: PipelineError.self) { try QuantizationRun(options)() }
      #expect(error?.code == .usage)
      #expect(error?.message.contains("--format gguf has no place") == true)
      #expect(try scratch.entries().isEmpty)
    }
  }

  @Test func aRankLargerThanALayerNamesItsLine() throws {
    let yaml = "scheme: { weights: { bits: 4 } }\nsteps:\n  - rtn\n  - lorc: { rank: 65 }"
    let error = #expect(throws: RecipeError.self) { try QuantizationRun(options(yaml))() }
    #expect(error?.line == 4)
    #expect(error?.message.contains("use 1 to 64") == true, "\(String(describing: error))")
  }

  @Test func lorcWithoutTextAsksForNone() throws {
    var plain = try options("scheme: { weights: { bits: 4 } }\nsteps: [ rtn, lorc ]")
    plain.calibration = []
    let record = try QuantizationRun(plain)()
    #expect(record.layers.allSatisfy { $0.errorAfter < $0.errorRTN })
    var aware = try options(
      "scheme: { weights: { bits: 4 } }\nsteps: [ rtn: {}, lorc: { activation-aware: true } ]",
      output: "other")
    aware.calibration = []
    let error = #expect(throws: PipelineError.self) { try QuantizationRun(aware)() }
    #expect(error?.message.contains("lorc learns from text") == true)
  }

  @Test func worseLayersLoseTheirCompensation() throws {
    let yaml = """
      scheme: { weights: { bits: 4 } }
      steps: [ rtn, bias-correction ]
      when-worse: round-to-nearest
      """
    let record = try QuantizationRun(options(yaml))()
    let plain = record.layers.filter { $0.method == "rtn" }.map(\.name)
    let store = try Checkpoint(path: scratch.path + "/out")
    #expect(!plain.isEmpty && plain.count < record.layers.count)
    for layer in record.layers {
      let bias = try store.tensor(layer.name + ".bias").values
      #expect(bias.allSatisfy { $0 == 0 } == plain.contains(layer.name))
    }
  }
}
