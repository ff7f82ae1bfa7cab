import Foundation
import HalftoneCheckpoints
import HalftonePipeline
import HalftoneReport
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Runs that need only the weights against the block loop, their slow twin.
@Suite struct StreamedRunTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private func run(_ yaml: String, _ output: String, streams: Bool, model: String = Fixture.model)
    throws -> QuantizationRun
  {
    var run = QuantizationRun(
      QuantizationOptions(
        model: model, recipe: try Recipe(yaml: yaml, source: "r.yaml"),
        output: scratch.path + "/" + output))
    run.streams = streams
    return run
  }

  private func bytes(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: scratch.path + "/" + name))
  }

  static let schemes =
    QuantizationRunTests.schemes.filter { !$0.contains("inputs: { bits: 8, granularity: tensor") }
    .filter { !$0.contains("e3m4") } + [
      "weights: { bits: 2, group: 4, range: min-max }", "weights: { bits: 3, range: min-max }",
      "weights: { bits: 8, group: 4, symmetric: false, range: min-max }",
      "weights: { bits: 5, granularity: tensor, range: min-max }",
      "weights: { type: fp8, granularity: tensor }",
      "weights: { bits: 4 }\n  ignore: [ \"*.down_proj\" ]",
    ]

  @Test(arguments: schemes) func theBytesAreThoseOfTheBlockLoop(_ scheme: String) throws {
    let yaml = "scheme:\n  \(scheme)\nsteps: [ rtn ]"
    let expected = try run(yaml, "loop", streams: false)()
    let threads = Parallelism.threads
    defer { Parallelism.threads = threads }
    for count in 1...3 {
      Parallelism.threads = count
      let record = try run(yaml, "out\(count)", streams: true)()
      for file in ["model.safetensors", "config.json", "recipe.yaml", "tokenizer.json"] {
        #expect(try bytes("out\(count)/" + file) == bytes("loop/" + file))
      }
      #expect(record.withoutMeasurements == expected.withoutMeasurements)
      #expect(try RunRecord(json: bytes("out\(count)/report.json")) == record)
    }
    #expect(try scratch.entries() == ["loop", "out1", "out2", "out3"])
  }

  @Test func largerModelsToo() throws {
    let model = Repository.path("Resources/models/books-7m")
    let schemes = [
      "{ bits: 4, group: 64 }", "{ type: fp8, range: min-max }", "{ type: mxfp4 }",
      "{ type: nvfp4, range: min-max }", "{ type: nf4, group: 32, symmetric: true }",
    ]
    for (i, scheme) in schemes.enumerated() {
      let yaml = "scheme: { weights: \(scheme) }\nsteps: [ rtn ]"
      let expected = try run(yaml, "loop\(i)", streams: false, model: model)()
      let record = try run(yaml, "out\(i)", streams: true, model: model)()
      #expect(record.withoutMeasurements == expected.withoutMeasurements)
      #expect(try bytes("out\(i)/model.safetensors") == bytes("loop\(i)/model.safetensors"))
    }
  }

  static let plain = "scheme: { weights: { bits: 4 } }\nsteps: [ rtn ]"

  @Test func aStoppedRunLeavesNothingAndStartsAgain() throws {
    var run = try run(Self.plain, "out", streams: true)
    var asked = 0
    run.shouldStop = {
      asked += 1
      return asked > 2
    }
    let error = #expect(throws: PipelineError.self) { try run() }
    #expect(error?.code == .interrupted)
    #expect(try scratch.entries().isEmpty)
    run.shouldStop = { false }
    run.options.resume = true
    _ = try run()
    #expect(try scratch.entries() == ["out"])
  }

  /// What a killed process leaves is in nobody's way.
  @Test func leftoversAreCleared() throws {
    let journal = scratch.path + "/.out.halftone-run"
    try FileManager.default.createDirectory(
      atPath: journal + "/.output.halftone-12345678", withIntermediateDirectories: true)
    _ = try run(Self.plain, "out", streams: true)()
    #expect(try scratch.entries() == ["out"])
  }

  /// Blocks of a longer run are not thrown away because of a mistyped recipe.
  @Test func anotherRunsBlocksAreKept() throws {
    var learning = try run(
      "scheme: { weights: { bits: 4 } }\nsteps: [ gptq ]", "out", streams: true)
    learning.options.calibration = [Fixture.text]
    (learning.options.samples, learning.options.length) = (8, 64)
    var asked = 0
    learning.shouldStop = {
      asked += 1
      return asked > 1
    }
    #expect(throws: PipelineError.self) { try learning() }
    var other = try run(Self.plain, "out", streams: true)
    other.options.resume = true
    let error = #expect(throws: PipelineError.self) { try other() }
    #expect(error?.message.contains("the recipe") == true)
    #expect(try scratch.entries() == [".out.halftone-run"])
    #expect(
      FileManager.default.fileExists(
        atPath: scratch.path + "/.out.halftone-run/block-0.safetensors"))
  }

  @Test func anElementThatIsNoNumberIsNamed() throws {
    let copy = scratch.path + "/copy"
    try FileManager.default.copyItem(atPath: Fixture.model, toPath: copy)
    let file = try SafetensorsFile(path: copy + "/model.safetensors")
    let name = "model.layers.3.mlp.up_proj.weight"
    let description = try file.description(of: name)
    var weights = try Data(contentsOf: URL(fileURLWithPath: file.path))
    let start = try file.withBytes(of: name) { part in
      try #require(weights.range(of: Data(part))).lowerBound
    }
    let size = description.type.bits / 8
    let place = start + (5 * description.shape[1] + 7) * size
    weights.replaceSubrange(place + size - 2..<place + size, with: [0xC0, 0x7F])
    try weights.write(to: URL(fileURLWithPath: file.path))
    let error = #expect(throws: CheckpointError.self) {
      try run(Self.plain, "out", streams: true, model: copy)()
    }
    #expect(error?.code == .malformed)
    #expect(error?.message.contains("\(name) holds NaN or infinity, first at [5, 7]") == true)
    #expect(try scratch.entries() == ["copy"])
  }
}
