import Foundation
import HalftoneInference
import HalftoneLayers
import HalftoneModels
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

@Suite struct EngineTests {
  static func fixture(_ name: String) throws -> any LanguageModel {
    let folder = "Tests/HalftoneModelsTests/Golden/\(name)"
    return try ModelCatalog.model(
      configuration: Repository.data("\(folder)/config.json"),
      weights: StoredWeights(Repository.path(folder)))
  }

  /// The float definition of the network, the whole sequence at once.
  static func definition(_ model: any LanguageModel, _ ids: [Int]) throws -> [Float] {
    let context = model.context(batch: 1, length: ids.count, start: 0)
    var hidden = try model.embed(ids)
    for index in 0..<model.blockCount { hidden = try model.block(index)(hidden, context) }
    return try model.logits(hidden).values
  }

  @Test(arguments: [
    "llama-linear-rope-old-keys", "llama-llama3-rope-biases", "mistral-head-dim",
    "mistral-sliding-window", "qwen2-tied", "qwen3-sharded",
  ])
  func `logits are those of the float definition`(_ name: String) throws {
    let model = try Self.fixture(name)
    let ids = (0..<40).map { $0 * 11 % 64 }
    let engine = try Engine(model)
    let hidden = try engine.hidden(ids, count: 1)
    // Keys and values are stored in halves.
    expectClose(engine.logits(hidden).values, try Self.definition(model, ids), tolerance: 4e-3)
  }

  @Test func `results depend neither on the other rows nor on how a prompt is cut`() throws {
    let engine = try Engine(GeneratorTests.model("stories260k"))
    let prompts = [[1, 403, 407, 261], [1, 300], Array(0..<77), [5]]
    func logits(_ prompt: [Int], cutAt cut: Int) throws -> [Float] {
      let sequence = try engine.sequence(capacity: 80)
      if cut > 0 { _ = try engine.run([EngineInput(sequence, Array(prompt[..<cut]))]) }
      return try engine.run([EngineInput(sequence, Array(prompt[cut...]))])[0]
    }
    let single = try prompts.map { try logits($0, cutAt: 0) }
    let together = try engine.run(
      prompts.map { EngineInput(try engine.sequence(capacity: 80), $0) })
    #expect(together == single)
    for cut in [1, 16, 40, 76] { #expect(try logits(prompts[2], cutAt: cut) == single[2]) }
  }

  @Test(arguments: [1, 2, 3])
  func `results do not depend on the number of threads`(_ threads: Int) throws {
    let before = Parallelism.threads
    defer { Parallelism.threads = before }
    let engine = try Engine(GeneratorTests.model("books-7m"))
    let ids = Array(100..<180)
    Parallelism.threads = 1
    let single = try engine.hidden(ids, count: 2).values
    Parallelism.threads = threads
    #expect(try engine.hidden(ids, count: 2).values == single)
  }

  @Test func `a truncated sequence goes on as if it had never been longer`() throws {
    let engine = try Engine(GeneratorTests.model("stories260k"))
    let sequence = try engine.sequence(capacity: 16)
    _ = try engine.run([EngineInput(sequence, [1, 2, 3, 4, 5])])
    sequence.truncate(to: 2)
    let resumed = try engine.run([EngineInput(sequence, [9])])
    let fresh = try engine.run([EngineInput(try engine.sequence(capacity: 16), [1, 2, 9])])
    #expect(resumed == fresh)
  }

  @Test func `more rows than a pass holds are cut into several`() throws {
    let engine = try Engine(GeneratorTests.model("stories260k"))
    let inputs = try [300, 300, 5].map {
      EngineInput(try engine.sequence(capacity: 512), [Int](repeating: 7, count: $0))
    }
    let all = try engine.run(inputs)
    let alone = try engine.run([
      EngineInput(try engine.sequence(capacity: 512), [Int](repeating: 7, count: 300))
    ])
    #expect(all[0] == alone[0] && all[1] == alone[0])
  }

  @Test func `what cannot run is refused before anything has run`() throws {
    let engine = try Engine(GeneratorTests.model("stories260k"))
    let (a, b) = (try engine.sequence(capacity: 4), try engine.sequence(capacity: 4))
    #expect(throws: GenerationError.self) { try engine.sequence(capacity: 513) }
    #expect(throws: GenerationError.self) { try engine.run([EngineInput(a, [])]) }
    #expect(throws: GenerationError.self) {
      try engine.run([EngineInput(a, [1]), EngineInput(a, [1])])
    }
    #expect(throws: GenerationError.self) {
      try engine.run([EngineInput(a, [1]), EngineInput(b, [512])])
    }
    #expect(throws: KeyValueCacheError.self) {
      try engine.run([EngineInput(a, [1]), EngineInput(b, [1, 2, 3, 4, 5])])
    }
    #expect(a.count == 0 && b.count == 0)
  }

  @Test func `a head in eight bits changes logits by its rounding only`() throws {
    let model = try GeneratorTests.model("books-7m")
    let ids = Array(100..<140)
    let stored = try Engine(model)
    let rounded = try Engine(model, options: .init(head: .int8))
    let hidden = try stored.hidden(ids, count: 1)
    expectClose(rounded.logits(hidden), stored.logits(hidden), tolerance: 1e-2)
    #expect(rounded.weightBytes < stored.weightBytes)
  }
}
