import Foundation
import HalftonePipeline
import HalftoneReport
import HalftoneTestSupport
import Testing

/// Whole runs of a method that hands state from block to block.
@Suite struct WindowRunTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private func options(_ step: String, output: String) throws -> QuantizationOptions {
    var options = QuantizationOptions(
      model: Fixture.model,
      recipe: try Recipe(
        yaml: "scheme: { weights: { bits: 3 } }\nsteps:\n  - \(step)", source: "r.yaml"),
      output: "\(scratch.path)/\(output)")
    options.calibration = [Fixture.text]
    (options.samples, options.length) = (8, 32)
    return options
  }

  private func weights(_ output: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: "\(scratch.path)/\(output)/model.safetensors"))
  }

  /// Blocks 0–2, 2–4: block 1 is finished before it is asked for, block 2 trained twice, and the
  /// second window is the last.
  @Test(arguments: [
    "cbq: { window: 3, overlap: 1, rounding: lora, iterations: 4, batch: 2 }",
    "cbq: { window: 2, overlap: 1, iterations: 4, batch: 2 }",
  ]) func aStoppedRunGoesOnToTheSameBytes(_ step: String) throws {
    let whole = try QuantizationRun(options(step, output: "whole"))()
    for blocks in 1...4 {
      var run = QuantizationRun(try options(step, output: "out\(blocks)"))
      var asked = 0
      run.shouldStop = {
        asked += 1
        return asked > blocks
      }
      #expect(throws: PipelineError.self) { try run() }
      run.options.resume = true
      run.shouldStop = { false }
      let record = try run()
      #expect(record.layers.map(\.errorAfter) == whole.layers.map(\.errorAfter))
      #expect(try weights("out\(blocks)") == weights("whole"))
    }
  }

  /// A window begins where the recipe leaves out the block at which it would have begun.
  @Test func blocksThatAreLeftOutAreStepsOver() throws {
    var options = try options(
      "cbq: { window: 3, overlap: 1, iterations: 2, batch: 2 }", output: "out")
    options.recipe = try Recipe(
      yaml: """
        scheme: { weights: { bits: 3 }, ignore: [ "layers.0.*" ] }
        steps:
          - cbq: { window: 3, overlap: 1, iterations: 2, batch: 2 }
        """, source: "r.yaml")
    let record = try QuantizationRun(options)()
    #expect(record.blocks.map(\.iterations) == [0, 2, 2, 0, 0])
    #expect(record.layers.count == 28)
  }

  @Test func aWindowLongerThanTheModelIsRefused() throws {
    let error = #expect(throws: (any Error).self) {
      try QuantizationRun(options("cbq: { window: 6, overlap: 1 }", output: "out"))()
    }
    #expect(
      error.map { "\($0)".contains("the model has 5 blocks; set window to at most 5") } == true)
    #expect(try scratch.entries() == [])
  }
}
