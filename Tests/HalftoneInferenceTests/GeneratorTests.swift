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
    #expect(throws: GenerationError.self) { try generator.generate([], .init(tokens: 1)) }
    #expect(throws: ModelError.self) { try generator.generate([512], .init(tokens: 1)) }
  }
}

@Suite struct SamplerTests {
  /// ln of these probabilities.
  static let logits: [Float] = [0.1, 0.4, 0.2, 0.3].map { logf($0) }

  func shares(_ options: SamplingOptions, count: Int = 20_000) throws -> [Double] {
    var sampler = try Sampler(options)
    var counts = [0.0, 0, 0, 0]
    for _ in 0..<count { counts[try sampler.next(Self.logits)] += 1 }
    return counts.map { $0 / Double(count) }
  }

  /// Five standard deviations of a share over 20,000 draws.
  func agree(_ found: [Double], _ expected: [Double]) -> Bool {
    zip(found, expected).allSatisfy { abs($0 - $1) <= 5 * ($1 * (1 - $1) / 20_000).squareRoot() }
  }

  @Test func `tokens are drawn with the probabilities of the softmax`() throws {
    #expect(agree(try shares(.init(temperature: 1, seed: 3)), [0.1, 0.4, 0.2, 0.3]))
    // At temperature ½ probabilities are squared: 1, 16, 4, 9 of 30.
    let squared = [1.0, 16, 4, 9].map { $0 / 30 }
    #expect(agree(try shares(.init(temperature: 0.5, seed: 3)), squared))
  }

  @Test func `top-k and top-p keep the likeliest`() throws {
    #expect(
      agree(try shares(.init(temperature: 1, topK: 2, seed: 3)), [0, 4.0 / 7, 0, 3.0 / 7]))
    #expect(
      agree(try shares(.init(temperature: 1, topP: 0.75, seed: 3)), [0, 4.0 / 9, 2.0 / 9, 1.0 / 3]))
    #expect(try shares(.init(temperature: 1, topP: 0.01, seed: 3), count: 50) == [0, 1, 0, 0])
    #expect(try shares(.greedy, count: 3) == [0, 1, 0, 0])
  }

  @Test func `options and logits that make no sense are refused`() {
    for options: SamplingOptions in [
      .init(temperature: -1), .init(temperature: .nan), .init(topK: 0), .init(topP: 0),
      .init(topP: 1.5), .init(topP: .nan),
    ] {
      #expect(throws: GenerationError.self) { try Sampler(options) }
    }
    for logits: [Float] in [[], [1, .nan], [.infinity, 1], [-.infinity, -.infinity]] {
      #expect(throws: GenerationError.self) {
        var sampler = try Sampler(.greedy)
        _ = try sampler.next(logits)
      }
    }
  }
}
