import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftonePipeline
import HalftoneReport
import HalftoneTensor
import HalftoneTokenizers
import HalftoneTestSupport
import Testing

/// Whole runs on the smallest model.
@Suite struct QuantizationRunTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private func options(
    _ yaml: String, text: Bool = true, samples: Int = 8
  ) throws -> QuantizationOptions {
    var options = QuantizationOptions(
      model: Fixture.model, recipe: try Recipe(yaml: yaml, source: "r.yaml"),
      output: scratch.path + "/out")
    if text { options.calibration = [Fixture.text] }
    options.samples = samples
    options.length = 64
    return options
  }

  private func bytes(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: scratch.path + "/" + name))
  }

  // Schemes whose stored layouts differ: packed or not, zero points or not, each input quantizer.
  static let schemes = [
    "weights: { bits: 4 }", "weights: { bits: 3, group: 4, symmetric: false }",
    "weights: { bits: 8, granularity: tensor, symmetric: false }",
    "weights: { bits: 4, symmetric: false }\n  inputs: { bits: 8 }",
    "weights: { bits: 8 }\n  inputs: { bits: 8, granularity: tensor, symmetric: false }",
    "weights: { type: fp8 }\n  inputs: { type: fp8 }",
    // In Halftone's own format.
    "weights: { type: nf4 }", "weights: { type: fp8, group: 4 }",
    "weights: { type: e3m2, scales: e8m0 }", "weights: { type: fp4, group: 4, scales: e4m3 }",
    "weights: { type: int, bits: 8, group: 4, scales: e8m0 }",
    "weights: { type: e5m2 }\n  inputs: { type: e3m4, granularity: tensor }",
    "weights: { type: ternary, range: absmean }", "weights: { type: binary, range: absmean }",
    "weights: { type: twin-log4 }", "weights: { type: olive4 }",
    "weights: { bits: 4, group: 4, symmetric: false, scales: int-row }",
    "weights: { type: fp4, group: 4, scales: pow2-row }",
    "weights: { type: nf4, group: 4, scales: nested }",
    "weights: { bits: 4, group: 4, scales: dyadic8 }", "weights: { bits: 6, scales: dyadic16 }",
    "weights: { type: fp4, granularity: tensor, scales: dyadic8 }",
    "weights: { bits: 8 }\n  inputs: { bits: 8, outlier-threshold: 6 }",
  ]

  @Test(arguments: schemes) func whatIsWrittenIsWhatWasPlanned(_ scheme: String) throws {
    let options = try options("scheme:\n  \(scheme)\nsteps: [ rtn ]")
    let plan = try Plan(
      options.recipe, for: OpenedModel(path: Fixture.model).layout(),
      calibration: CalibrationSize(samples: 8, length: 64))
    let record = try QuantizationRun(options)()
    #expect(record.bytesAfter == plan.bytesAfter)
    #expect(record.bytesBefore == plan.bytesBefore)
    #expect(record.layers.map(\.name) == plan.layers.map(\.module.name))
    for layer in record.layers {
      #expect(layer.errorAfter == layer.errorRTN)
      #expect(layer.errorAfter > 0 && layer.errorAfter < 1)
    }
    #expect(try scratch.entries() == ["out"])
    #expect(try RunRecord(json: bytes("out/report.json")) == record)
  }

  @Test func whatAllLayersOfABlockWarnOfIsSaidOnce() throws {
    let yaml = "scheme: { weights: { bits: 3 } }\nsteps:\n  - adaround: { iterations: 1 }"
    var run = try QuantizationRun(options(yaml))
    var said: [String] = []
    run.warn = { said.append($0) }
    _ = try run()
    said = said.filter { $0.contains("had settled") }
    #expect(said.count == 5 && said.allSatisfy { $0.contains(": 7 layers: ") }, "\(said)")
  }

  /// Errors of blocks are measured alike for every method: they grow with
  /// fewer bits.
  @Test func blocksHaveOutputErrors() throws {
    func errors(bits: Int, text: Bool = true) throws -> [Double?] {
      var options = try options(
        "scheme: { weights: { bits: \(bits) } }\nsteps: [ rtn ]", text: text)
      options.output += "-\(bits)-\(text)"
      return try QuantizationRun(options)().blocks.map(\.outputError)
    }
    for (four, three) in try zip(errors(bits: 4), errors(bits: 3)) {
      #expect(try #require(four) > 0 && #require(four) < #require(three) && #require(three) < 1)
    }
    #expect(try errors(bits: 4, text: false).allSatisfy { $0 == nil })
  }

  @Test func weightsAloneAreEnoughForRounding() throws {
    let record = try QuantizationRun(
      options("scheme: { weights: { bits: 4 } }\nsteps: [ rtn ]", text: false))()
    #expect(record.calibration == nil)
    #expect(record.warnings.contains { $0.contains("errors are those of the weights") })
    #expect(record.layers.allSatisfy { $0.errorAfter > 0 && $0.errorAfter <= $0.errorBefore })
  }

  @Test func methodsThatLearnAskForText() throws {
    let options = try options("scheme: { weights: { bits: 4 } }\nsteps: [ gptq ]", text: false)
    let error = #expect(throws: PipelineError.self) { try QuantizationRun(options)() }
    #expect(error?.code == .usage)
    #expect(try scratch.entries().isEmpty)
  }

  /// A run of one iteration cannot learn; where its codes are worse, the recipe has them replaced.
  @Test func worseLayersAreRoundedInsteadIfTheRecipeSaysSo() throws {
    let yaml =
      "scheme: { weights: { bits: 2 } }\nsteps:\n  - adaround: { iterations: 1 }\nwhen-worse: "
    var kept = try options(yaml + "keep")
    kept.output += "-kept"
    let record = try QuantizationRun(kept)()
    let other = try QuantizationRun(options(yaml + "round-to-nearest"))()
    let worse = record.layers.filter { $0.errorAfter > $0.errorRTN }
    #expect(!worse.isEmpty)
    #expect(worse.allSatisfy { $0.warnings.contains { $0.contains("rounding to nearest") } })
    #expect(other.layers.count == record.layers.count)
    #expect(other.layers.allSatisfy { $0.errorAfter <= $0.errorRTN })
    #expect(other.layers.contains { $0.method == "rtn" })
    #expect(
      other.layers.filter { $0.method == "rtn" }.allSatisfy { $0.errorAfter == $0.errorRTN })
  }

  // MARK: - Resuming

  static let learning = "scheme: { weights: { bits: 3 } }\nsteps: [ gptq ]"

  @Test(arguments: 1...4) func aRunStoppedAtABoundaryGoesOnToTheSameBytes(_ blocks: Int) throws {
    var whole = try options(Self.learning)
    whole.output = scratch.path + "/whole"
    let expected = try QuantizationRun(whole)()
    var run = QuantizationRun(try options(Self.learning))
    var asked = 0
    run.shouldStop = {
      asked += 1
      return asked > blocks
    }
    let error = #expect(throws: PipelineError.self) { try run() }
    #expect(error?.code == .interrupted)
    #expect(error?.message.hasPrefix("stopped with \(blocks) of 5 blocks finished") == true)
    #expect(try scratch.entries() == [".out.halftone-run", "whole"])
    run.options.resume = true
    run.shouldStop = { false }
    let record = try run()
    #expect(record.withoutMeasurements == expected.withoutMeasurements)
    for file in ["model.safetensors", "config.json", "recipe.yaml"] {
      #expect(try bytes("out/" + file) == bytes("whole/" + file))
    }
    #expect(try scratch.entries() == ["out", "whole"])
  }

  @Test func aChangedRunIsNotResumed() throws {
    var run = QuantizationRun(try options(Self.learning))
    var asked = 0
    run.shouldStop = {
      asked += 1
      return asked > 1
    }
    #expect(throws: PipelineError.self) { try run() }
    let again = #expect(throws: PipelineError.self) { try run() }
    #expect(again?.code == .cannotCreate)
    #expect(again?.message.contains("--resume") == true)
    let other = try scratch.write("other.txt", String(repeating: "Another story. ", count: 400))
    let changes: [(String, (inout QuantizationOptions) throws -> Void)] = [
      ("seed (0 then, 5 now)", { $0.seed = 5 }),
      ("samples (8 then, 6 now)", { $0.samples = 6 }),
      ("the calibration text", { $0.calibration = [other] }),
      (
        "the recipe",
        {
          $0.recipe = try Recipe(
            yaml: "scheme: { weights: { bits: 4 } }\nsteps: [ gptq ]", source: "")
        }
      ),
    ]
    for (words, change) in changes {
      var changed = QuantizationRun(try options(Self.learning))
      changed.options.resume = true
      try change(&changed.options)
      let error = #expect(throws: PipelineError.self) { try changed() }
      #expect(error?.code == .badInput)
      #expect(error?.message.contains("changed since it began: \(words)") == true)
    }
    #expect(try scratch.entries().contains(".out.halftone-run"))
    run.shouldStop = { false }
    run.options.overwrite = true
    _ = try run()
    #expect(try scratch.entries() == ["other.txt", "out"])
  }

  // MARK: - Keys and values

  @Test(arguments: ["type: fp8", "bits: 8"]) func keysAndValuesGetFixedScales(
    _ cache: String
  ) throws {
    let yaml = "scheme:\n  weights: { bits: 8 }\n  cache: { \(cache) }\nsteps: [ rtn ]"
    var run = QuantizationRun(try options(yaml))
    let record = try run()
    #expect(
      try record.bytesAfter
        == Plan(
          run.options.recipe, for: OpenedModel(path: Fixture.model).layout(),
          calibration: CalibrationSize(samples: 8, length: 64)
        ).bytesAfter)
    let written = try OpenedModel(path: run.options.output)
    let inspection = try Inspection(path: run.options.output, verifies: true)
    #expect(inspection.problems == [])
    let word = cache == "bits: 8" ? "int8" : "e4m3fn"
    #expect(inspection.cache == "\(word) tensor symmetric static")
    // Of the quantized network on the calibration text, whose largest key is the last code.
    let stored = try #require(try written.store.storedCache("model.layers.2.self_attn"))
    #expect(stored.keys.count == 1 && stored.values.count == 1)
    let again = try Recipe(yaml: run.options.recipe.canonicalText, source: "c")
    #expect(again.canonicalText == run.options.recipe.canonicalText && again.cache != nil)

    run.options.calibration = []
    run.options.overwrite = true
    let error = #expect(throws: PipelineError.self) { try run() }
    #expect(error?.message.contains("scheme.cache needs calibration text") == true)
    run.options.calibration = [Fixture.text]
    run.options.format = .gguf
    run.options.output = scratch.path + "/out.gguf"
    let gguf = #expect(throws: PipelineError.self) { try run() }
    #expect(gguf?.message.contains("no place for scheme.cache") == true)
  }

  /// By their definition: the largest magnitude in the first block, whose inputs are the embeddings.
  @Test func scalesOfKeysAreTheirLargestMagnitudes() throws {
    let yaml = "scheme:\n  weights: { bits: 8 }\n  cache: { type: fp8 }\nsteps: [ rtn ]"
    let options = try options(yaml)
    _ = try QuantizationRun(options)()
    let written = try OpenedModel(path: options.output)
    let stored = try #require(try written.store.storedCache("model.layers.0.self_attn"))
    let found = try Calibration(
      files: options.calibration, size: CalibrationSize(samples: 8, length: 64),
      tokenizer: written.tokenizer())
    var largest: (keys: Float, values: Float) = (0, 0)
    var context = written.model.context(
      batch: found.ids.count / 64, length: 64, start: 0)
    context.observeCache = { keys, values in
      largest.keys = keys.values.reduce(largest.keys) { max($0, abs($1)) }
      largest.values = values.values.reduce(largest.values) { max($0, abs($1)) }
    }
    _ = try written.model.block(0)(written.model.embed(found.ids), context)
    #expect(abs(stored.keys[0] * 448 / largest.keys - 1) < 1e-5)
    #expect(abs(stored.values[0] * 448 / largest.values - 1) < 1e-5)
  }

  // MARK: - Outputs in the way

  @Test func nothingIsReplacedUnasked() throws {
    var run = QuantizationRun(
      try options("scheme: { weights: { bits: 4 } }\nsteps: [ rtn ]", text: false))
    _ = try run()
    #expect(throws: PipelineError.self) { try run() }
    run.options.resume = true
    let resumed = #expect(throws: PipelineError.self) { try run() }
    #expect(resumed?.message.contains("no unfinished run") == true)
    run.options.resume = false
    run.options.overwrite = true
    _ = try run()
    run.options.output = scratch.path
    let foreign = #expect(throws: PipelineError.self) { try run() }
    #expect(foreign?.message.contains("not a model's directory") == true)
    run.options.output = Fixture.model
    let model = #expect(throws: PipelineError.self) { try run() }
    #expect(model?.code == .usage)
    let copy = scratch.path + "/copy"
    let link = scratch.path + "/link"
    try FileManager.default.copyItem(atPath: Fixture.model, toPath: copy)
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "copy")
    let weights = try bytes("copy/model.safetensors")
    run.options.model = link
    run.options.output = copy
    let linked = #expect(throws: PipelineError.self) { try run() }
    #expect(linked?.code == .usage)
    #expect(try bytes("copy/model.safetensors") == weights)
  }

  @Test func anOutputThatAKilledRunHadMovedAwayIsPutBack() throws {
    var run = QuantizationRun(
      try options("scheme: { weights: { bits: 4 } }\nsteps: [ rtn ]", text: false))
    _ = try run()
    let weights = try bytes("out/model.safetensors")
    let (files, journal) = (FileManager.default, scratch.path + "/.out.halftone-run")
    try files.createDirectory(atPath: journal, withIntermediateDirectories: false)
    try files.moveItem(atPath: run.options.output, toPath: journal + "/replaced")
    let error = #expect(throws: PipelineError.self) { try run() }
    #expect(error?.message.contains("exists already") == true)
    #expect(try scratch.entries() == ["out"])
    #expect(try bytes("out/model.safetensors") == weights)
    run.options.overwrite = true
    _ = try run()
  }

  @Test func sideFilesThatCannotBeCopiedAreFoundFirst() throws {
    let copy = scratch.path + "/copy"
    try FileManager.default.copyItem(atPath: Fixture.model, toPath: copy)
    try FileManager.default.createSymbolicLink(
      atPath: copy + "/NOTES.txt", withDestinationPath: "/dev/null")
    var run = QuantizationRun(
      try options("scheme: { weights: { bits: 4 } }\nsteps: [ rtn ]", text: false))
    run.options.model = copy
    run.shouldStop = { true }
    let error = #expect(throws: CheckpointError.self) { try run() }
    #expect(error?.code == .malformed)
    #expect(try scratch.entries() == ["copy"])
  }

  @Test func conversionRefusesDirectories() throws {
    let store = try OpenedModel.store(Fixture.model)
    let error = #expect(throws: PipelineError.self) {
      try ModelConversion(store: store, model: Fixture.model).write(to: scratch.path + "/out")
    }
    #expect(error?.code == .badInput)
    #expect(try scratch.entries().isEmpty)
  }

  @Test func samplesLongerThanTheContextAreRefusedForEveryMethod() throws {
    var options = try options("scheme: { weights: { bits: 4 } }\nsteps: [ rtn ]")
    options.length = 1 << 16
    let error = #expect(throws: RecipeError.self) { try QuantizationRun(options)() }
    #expect(error?.message.contains("longer than") == true)
  }

  @Test func fixedInputsAskForText() throws {
    let options = try options(
      "scheme: { weights: { bits: 8 }, inputs: { bits: 8, dynamic: false, granularity: tensor } }"
        + "\nsteps: [ rtn ]", text: false)
    let error = #expect(throws: PipelineError.self) { try QuantizationRun(options)() }
    #expect(error?.message.hasPrefix("inputs with dynamic: false need calibration text") == true)
  }

  @Test func conversionKeepsEveryTensor() throws {
    let source = Fixture.model + "/llama2c/stories260K.bin"
    let store = try OpenedModel.store(source)
    try ModelConversion(store: store, model: source).write(to: scratch.path + "/out")
    let written = try OpenedModel(path: scratch.path + "/out")
    #expect(written.store.names == store.names)
    for name in store.names {
      let original = try store.withBytes(of: name) { Data($0) }
      #expect(try written.store.withBytes(of: name) { Data($0) } == original)
    }
    #expect(
      try written.tokenizer().encode("Once") == OpenedModel(path: source).tokenizer().encode("Once")
    )
    #expect(try scratch.entries() == ["out"])
  }
}
