import Foundation
import HalftoneLayers
import HalftonePipeline
import HalftoneReport
import HalftoneTensor
import HalftoneTestSupport
import HalftoneTokenizers
import Testing

/// Runs of a method that trains all blocks at once.
@Suite struct WholeNetworkRunTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  /// 3.25 bits but for down_proj, whose 172 inputs 64 does not divide.
  private func options(
    _ step: String, samples: Int, length: Int, output: String
  ) throws -> QuantizationOptions {
    let yaml = """
      scheme: { weights: { bits: 3, group: 64 } }
      overrides:
        - { targets: "layers.*.mlp.down_proj", weights: { granularity: channel } }
      steps: [ \(step) ]
      """
    var options = QuantizationOptions(
      model: Fixture.model, recipe: try Recipe(yaml: yaml, source: "r.yaml"),
      output: "\(scratch.path)/\(output)")
    options.calibration = [Fixture.text]
    (options.samples, options.length) = (samples, length)
    return options
  }

  /// The mean KL of the predictions to the original's on text that was not learned from.
  private func divergence(_ output: String) throws -> Double {
    let original = try OpenedModel(path: Fixture.model)
    let text = try String(
      decoding: Repository.data("Resources/text/tinystories-test.txt"), as: UTF8.self)
    let (count, length) = (8, 128)
    let ids = Array(
      try original.tokenizer().encode(String(text.prefix(8_000))).prefix(count * length))
    func logits(_ model: any LanguageModel) throws -> Tensor {
      let context = model.context(batch: count, length: length, start: 0)
      var hidden = try model.embed(ids)
      for index in 0..<model.blockCount { hidden = try model.block(index)(hidden, context) }
      return try model.logits(hidden)
    }
    let changed = try logits(OpenedModel(path: "\(scratch.path)/\(output)").model)
    let all = changed.klDivergences(from: try logits(original.model))
    return all.reduce(0, +) / Double(all.count)
  }

  @Test func predictionsStayNearerThanWithRoundingAndGPTQ() throws {
    let steps = [
      "rtn", "gptq",
      "discquant: { iterations: 80, batch: 4 }",
    ]
    let found = try steps.enumerated().map { index, step in
      let step = step.contains(":") ? "{ \(step) }" : step
      _ = try QuantizationRun(options(step, samples: 32, length: 128, output: "out\(index)"))()
      return try divergence("out\(index)")
    }
    #expect(found[2] < found[1] && found[1] < found[0], "\(found)")
  }

  @Test(arguments: [1, 3]) func aStoppedRunGoesOnToTheSameBytes(_ blocks: Int) throws {
    let step = "{ discquant: { iterations: 6, batch: 2 } }"
    let whole = try options(step, samples: 8, length: 64, output: "whole")
    let expected = try QuantizationRun(whole)()
    var run = QuantizationRun(try options(step, samples: 8, length: 64, output: "out"))
    var asked = 0
    run.shouldStop = {
      asked += 1
      return asked > blocks
    }
    #expect(throws: PipelineError.self) { try run() }
    run.options.resume = true
    run.shouldStop = { false }
    let record = try run()
    #expect(record.layers.map(\.errorAfter) == expected.layers.map(\.errorAfter))
    #expect(record.blocks[0].settled != nil && record.blocks[1].settled == nil)
    let files = try ["out", "whole"].map {
      try Data(contentsOf: URL(fileURLWithPath: "\(scratch.path)/\($0)/model.safetensors"))
    }
    #expect(files[0] == files[1])
  }

  @Test func theResultDoesNotDependOnThreads() throws {
    let step = "{ discquant: { iterations: 4, batch: 2 } }"
    let threads = Parallelism.threads
    defer { Parallelism.threads = threads }
    let files = try [1, 2, 3].map { count in
      Parallelism.threads = count
      _ = try QuantizationRun(options(step, samples: 4, length: 32, output: "t\(count)"))()
      return try Data(
        contentsOf: URL(fileURLWithPath: "\(scratch.path)/t\(count)/model.safetensors"))
    }
    #expect(files[0] == files[1] && files[1] == files[2])
  }
}
