import Foundation
import HalftoneInference
import HalftoneLayers
import HalftoneModels
import HalftoneTensor
import HalftoneTestSupport
import Testing

@Suite struct GeneratorTests {
  static func model(_ name: String) throws -> any LanguageModel {
    let folder = "Resources/models/\(name)"
    return try ModelCatalog.model(
      configuration: Repository.data("\(folder)/config.json"),
      weights: StoredWeights(Repository.path(folder)))
  }

  /// From Scripts/golden/models.py: transformers, the whole sequence run anew for each token.
  struct Greedy: Decodable {
    let promptIds: [Int]
    let ids: [Int]

    private enum CodingKeys: String, CodingKey {
      case promptIds = "prompt_ids"
      case ids
    }
  }

  @Test(arguments: ["stories260k", "books-7m"])
  func `greedy continuations are the reference's`(_ name: String) throws {
    let file = try Repository.data("Tests/HalftoneModelsTests/Golden/greedy.json")
    let golden = try #require(JSONDecoder().decode([String: Greedy].self, from: file)[name])
    var streamed: [Int] = []
    let found = try Generator(Self.model(name)).generate(
      golden.promptIds, .init(tokens: golden.ids.count, stop: []), onToken: { streamed.append($0) }
    )
    #expect(found.ids == golden.ids)
    #expect(streamed == golden.ids)
    #expect(found.finish == .tokenLimit)
    #expect(found.promptCount == golden.promptIds.count)
    #expect(found.decodedCount == golden.ids.count - 1)
  }

  @Test(arguments: ["mistral-sliding-window", "qwen3-sharded"])
  func `one token at a time gives the logits of the whole sequence`(_ name: String) throws {
    let folder = "Tests/HalftoneModelsTests/Golden/\(name)"
    let model = try ModelCatalog.model(
      configuration: Repository.data("\(folder)/config.json"),
      weights: StoredWeights(Repository.path(folder)))
    let ids = (0..<40).map { $0 * 11 % 64 }
    let blocks = try (0..<model.blockCount).map { try model.block($0) }
    let head = try model.head()
    func run(_ range: Range<Int>, _ cache: KeyValueCache?) throws -> [Float] {
      var context = model.context(batch: 1, length: range.count, start: range.lowerBound)
      context.cache = cache
      var hidden = try model.embed(Array(ids[range]))
      for block in blocks { hidden = block(hidden, context) }
      return head(hidden).values
    }
    let whole = try run(0..<40, nil)
    let cache = KeyValueCache(capacity: 40)
    // A prompt in two pieces, then single tokens: the window of 8 is passed in all three ways.
    var pieces = try run(0..<20, cache) + run(20..<30, cache)
    for i in 30..<40 { pieces += try run(i..<i + 1, cache) }
    let largest = whole.reduce(0) { max($0, abs($1)) }
    let difference = zip(whole, pieces).reduce(0) { max($0, abs($1.0 - $1.1)) }
    #expect(pieces.count == whole.count)
    #expect(difference < 1e-5 * largest)
    #expect(cache.count == 40)
    let full = #expect(throws: KeyValueCacheError.self) { try cache.reserve(1) }
    #expect(full?.requested == 1)
  }

  @Test func `generation stops before a token that ends the text`() throws {
    let file = try Repository.data("Tests/HalftoneModelsTests/Golden/greedy.json")
    let golden = try #require(
      JSONDecoder().decode([String: Greedy].self, from: file)["stories260k"])
    let end = golden.ids[10]
    let expected = golden.ids.prefix { $0 != end }
    let found = try Generator(Self.model("stories260k")).generate(
      golden.promptIds, .init(tokens: 48, stop: [end]))
    #expect(found.ids == Array(expected))
    #expect(found.finish == .endOfText)
  }

  @Test func `the same seed gives the same tokens, another seed others`() throws {
    let generator = try Generator(Self.model("stories260k"))
    func ids(_ seed: UInt64) throws -> [Int] {
      try generator.generate(
        [1, 403], .init(tokens: 30, sampling: .init(temperature: 1, seed: seed), stop: [])
      ).ids
    }
    #expect(try ids(1) == ids(1))
    #expect(try ids(1) != ids(2))
  }

  @Test func `requests beyond the capacity are refused`() throws {
    let generator = try Generator(Self.model("stories260k"), capacity: 16)
    #expect(try generator.generate([1, 2], .init(tokens: 14, stop: [])).ids.count == 14)
    let error = #expect(throws: GenerationError.self) {
      try generator.generate([1, 2], .init(tokens: 15))
    }
    #expect(error?.description.contains("at most 14 tokens") == true)
    #expect(throws: GenerationError.self) { try generator.generate([Int](), .init(tokens: 1)) }
    #expect(throws: GenerationError.self) { try generator.generate([1], .init(tokens: -1)) }
    for capacity in [0, 513] {
      #expect(throws: GenerationError.self) {
        try Generator(generator.engine, capacity: capacity)
      }
    }
    #expect(throws: GenerationError.self) { try generator.generate([512], .init(tokens: 1)) }
  }

  @Test func `several prompts give what each gives alone`() throws {
    let generator = try Generator(Self.model("stories260k"))
    let long = (0..<300).map { 3 + $0 * 37 % 500 }
    let prompts = [[1, 403], long, [1], long + long.prefix(150), [1, 407, 261]]
    for temperature in [0, 0.8] {
      let options = GenerationOptions(
        tokens: 20, sampling: .init(temperature: temperature, seed: 9))
      var streamed = prompts.map { _ in [Int]() }
      let together = try generator.generate(prompts, options) { streamed[$0].append($1) }
      for (index, prompt) in prompts.enumerated() {
        var alone = options
        alone.sampling.seed += UInt64(index)
        let expected = try generator.generate(prompt, alone)
        #expect(together[index].ids == expected.ids)
        #expect(together[index].finish == expected.finish)
        #expect(together[index].decodedCount == expected.decodedCount)
        #expect(streamed[index] == expected.ids)
      }
    }
  }

  @Test func `a prompt longer than a piece is the prompt in one piece`() throws {
    // The model's context is one piece long, so its pieces are made here as the generator does.
    let engine = try Engine(Self.model("stories260k"))
    let ids = (0..<200).map { 3 + $0 * 37 % 500 }
    let whole = try engine.sequence(capacity: 200)
    let expected = try engine.run([EngineInput(whole, ids)])[0]
    let cut = try engine.sequence(capacity: 200)
    _ = try engine.run([EngineInput(cut, Array(ids[..<128]))])
    let found = try engine.run([EngineInput(cut, Array(ids[128...]))])[0]
    let largest = expected.reduce(0) { max($0, abs($1)) }
    #expect(zip(expected, found).allSatisfy { abs($0 - $1) < 1e-4 * largest })
    #expect(cut.count == 200)
  }
}
