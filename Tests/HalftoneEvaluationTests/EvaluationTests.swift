import Foundation
import HalftoneEvaluation
import HalftoneLayers
import HalftoneModels
import HalftonePipeline
import HalftoneTensor
import HalftoneTestSupport
import HalftoneTokenizers
import Testing

/// The values of Scripts/golden/evaluation.py, which runs transformers in float32.
struct GoldenEvaluation: Decodable {
  struct Text: Decodable, Sendable {
    let model: String
    let text: String
    let context: Int
    let windows: Int
    let encoded: Int
    let negativeLogLikelihood: Double
    let perplexity: Double
    let standardError: Double
    let bitsPerByte: Double

    private enum CodingKeys: String, CodingKey {
      case model, text, context, windows, encoded, perplexity
      case negativeLogLikelihood = "negative_log_likelihood"
      case standardError = "standard_error"
      case bitsPerByte = "bits_per_byte"
    }
  }
  struct Choices: Decodable {
    let model: String
    let task: String
    let items: Int
    let scores: [[Double]]
    let accuracy: Double
    let accuracyNormalized: Double

    private enum CodingKeys: String, CodingKey {
      case model, task, items, scores, accuracy
      case accuracyNormalized = "accuracy_normalized"
    }
  }
  let perplexity: [Text]
  let comparison: ReferenceComparison
  let choices: Choices

  static func load() throws -> GoldenEvaluation {
    try JSONDecoder().decode(
      Self.self, from: Repository.data("Tests/HalftoneEvaluationTests/Golden/evaluation.json"))
  }
}

/// A bundled model with its tokenizer.
struct Bundled {
  let weights: StoredWeights
  let model: any LanguageModel
  let tokenizer: any Tokenizer
  private let configuration: Data

  init(_ name: String) throws {
    let folder = "Resources/models/\(name)"
    weights = try StoredWeights(Repository.path(folder))
    configuration = try Repository.data("\(folder)/config.json")
    model = try ModelCatalog.model(configuration: configuration, weights: weights)
    tokenizer = try Tokenizers.load(directory: Repository.path(folder))
  }

  func model(_ weights: any WeightSource) throws -> any LanguageModel {
    try ModelCatalog.model(configuration: configuration, weights: weights)
  }

  func encode(_ text: String) throws -> [Int] {
    tokenizer.encode(
      try TextFile.read(Repository.path("Resources/text/\(text)")))
  }
}

func relative(_ a: Double, _ b: Double) -> Double { abs(a - b) / abs(b) }

@Suite struct PerplexityTests {
  @Test(arguments: [0, 1])
  func `the first windows of a text have the reference perplexity`(_ index: Int) throws {
    let golden = try GoldenEvaluation.load().perplexity[index]
    let bundled = try Bundled(golden.model)
    let ids = try bundled.encode(golden.text)
    #expect(ids.count == golden.encoded)
    let options = PerplexityOptions(context: golden.context, windows: golden.windows)
    let found = try Perplexity.evaluate(bundled.model, ids: ids, options: options)
    #expect(found.windows == golden.windows)
    #expect(found.tokens == golden.windows * (golden.context - 1))
    // Float32 logits of order 10 carry 1e-6; their losses average over a thousand tokens.
    #expect(relative(found.negativeLogLikelihood, golden.negativeLogLikelihood) < 2e-6)
    #expect(relative(found.perplexity, golden.perplexity) < 1e-5)
    #expect(relative(try #require(found.standardError), golden.standardError) < 1e-5)
    let bits = Perplexity.bitsPerByte(
      found, ids: ids, options: options, tokenizer: bundled.tokenizer)
    #expect(relative(bits, golden.bitsPerByte) < 1e-5)
  }

  @Test func `chunks and batches do not change the result`() throws {
    let bundled = try Bundled("stories260k")
    let ids = Array(try bundled.encode("tinystories-calibration.txt").prefix(70 * 64 + 5))
    let all = try Perplexity.evaluate(bundled.model, ids: ids, options: .init(context: 64))
    var shares: [Double] = []
    let chunked = try Perplexity.evaluate(
      bundled.model, ids: ids, options: .init(context: 64, activationBytes: 1),
      progress: { shares.append($0) })
    #expect(all.windows == 70)
    #expect(relative(chunked.negativeLogLikelihood, all.negativeLogLikelihood) < 1e-6)
    #expect(shares == shares.sorted() && shares.last == 1)
    #expect(shares.count == bundled.model.blockCount * 3)  // 32 windows of 64 in each chunk
  }

  @Test func `weights rounded to bfloat16 diverge as in the reference`() throws {
    let golden = try GoldenEvaluation.load().comparison
    let bundled = try Bundled("stories260k")
    let ids = try bundled.encode("tinystories-test.txt")
    let rounded = try bundled.model(bundled.weights.mapped { $0.converted(to: .bfloat16) })
    let result = try Perplexity.evaluate(
      rounded, ids: ids, options: .init(context: 512, windows: 4), reference: bundled.model)
    let found = try #require(result.reference)
    #expect(relative(found.perplexity, golden.perplexity) < 1e-5)
    // Both sides compute logits in float32: their difference, 1e-2 here, is known to 1e-6/1e-2.
    #expect(relative(found.klMean, golden.klMean) < 1e-3)
    #expect(relative(found.klMedian, golden.klMedian) < 1e-2)
    #expect(relative(found.klP99, golden.klP99) < 1e-2)
    #expect(relative(found.klMax, golden.klMax) < 1e-2)
    #expect(abs(found.top1Agreement - golden.top1Agreement) < 0.6 / 2044)  // not one token apart
  }

  @Test func `a model does not diverge from itself`() throws {
    let bundled = try Bundled("stories260k")
    let ids = (0..<128).map { $0 * 7 % 512 }
    let result = try Perplexity.evaluate(
      bundled.model, ids: ids, options: .init(context: 64), reference: bundled.model)
    let found = try #require(result.reference)
    #expect(found.klMax == 0 && found.top1Agreement == 1)
    #expect(found.perplexity == result.perplexity)
  }

  @Test func `what cannot be measured is named`() throws {
    let bundled = try Bundled("stories260k")
    let ids = [Int](repeating: 3, count: 600)
    func message(_ options: PerplexityOptions, _ model: any LanguageModel) -> String {
      do {
        _ = try Perplexity.evaluate(model, ids: ids, options: options)
        return ""
      } catch { return "\(error)" }
    }
    #expect(message(.init(context: 601), bundled.model).contains("601"))
    #expect(message(.init(context: 1), bundled.model).contains("predicts nothing"))
    #expect(message(.init(context: 8, windows: 0), bundled.model).contains("at least 1"))
    #expect(message(.init(context: 513), bundled.model).contains("513 tokens is longer than"))
    let broken = StoredWeights(
      bundled.weights, replacing: ["model.norm.weight": Tensor(repeating: .nan, shape: [64])])
    let text = message(.init(context: 64), try bundled.model(broken))
    #expect(text.contains("not numbers in window 0"))
  }
}

@Suite struct MultipleChoiceTests {
  @Test func `choices have the log-probabilities of single runs`() throws {
    let golden = try GoldenEvaluation.load().choices
    let bundled = try Bundled(golden.model)
    let data = try Repository.data("Resources/tasks/\(golden.task).jsonl")
    let whole = try MultipleChoiceTask(name: golden.task, jsonLines: data)
    let task = MultipleChoiceTask(
      name: golden.task, items: Array(whole.items.prefix(golden.items)))
    let found = try MultipleChoice.evaluate(
      .definition(bundled.model), task: task, tokenizer: bundled.tokenizer)
    #expect(found.items == golden.items)
    #expect(found.accuracy == golden.accuracy)
    #expect(found.accuracyNormalized == golden.accuracyNormalized)
    // √(p(1−p)/(n−1)) for answers that are 0 or 1.
    let p = golden.accuracy
    let error = (p * (1 - p) / Double(golden.items - 1)).squareRoot()
    #expect(relative(try #require(found.standardError), error) < 1e-12)

    let encode = { bundled.tokenizer.encode($0) }
    let continuations = task.items.flatMap { item in
      item.choices.map { choice in
        let ids = encode(item.query + " " + choice)
        return Continuation(ids: ids, scored: ids.count - encode(item.query).count)
      }
    }
    let scores = try MultipleChoice.logProbabilities(
      .definition(bundled.model), continuations, activationBytes: 1)
    for (a, b) in zip(scores, golden.scores.joined()) { #expect(relative(a, b) < 1e-5) }
  }

  @Test(arguments: [
    ("", "no questions"), ("\n{}\n", "line 2"), ("[1]", "line 1"),
    (#"{"query": "a", "choices": ["b"], "gold": 0}"#, "two or more"),
    (#"{"query": "a", "choices": ["b", ""], "gold": 0}"#, "empty"),
    (#"{"query": "a", "choices": ["b", "c"], "gold": 2}"#, "from 0 to 1"),
    (#"{"query": "a", "choices": ["b", "c"], "gold": -1}"#, "from 0 to 1"),
  ])
  func `damaged task files name the line`(_ text: String, _ part: String) {
    let error = #expect(throws: EvaluationError.self) {
      try MultipleChoiceTask(name: "task", jsonLines: Data(text.utf8))
    }
    #expect(error?.description.contains(part) == true)
  }
}

@Suite struct EvaluationReportTests {
  @Test func `the keys are those scripts rely on`() throws {
    let bundled = try Bundled("stories260k")
    let ids = (0..<96).map { $0 * 5 % 512 }
    let result = try Perplexity.evaluate(
      bundled.model, ids: ids, options: .init(context: 32), reference: bundled.model)
    let item = MultipleChoiceItem(query: "Once", choices: ["upon", "a time"], gold: 0)
    let answers = try MultipleChoice.evaluate(
      .definition(bundled.model), task: .init(name: "t", items: [item, item]),
      tokenizer: bundled.tokenizer)
    var report = EvaluationReport(model: "m", tasks: [answers], seconds: 1, peakBytes: 2)
    report.add(result, text: "t", context: 32, bitsPerByte: 1)
    let json = try JSONSerialization.jsonObject(with: JSONEncoder().encode(report))
    let top = try #require(json as? [String: Any])
    #expect(
      Set(top.keys) == [
        "model", "text", "context", "tokens", "negative_log_likelihood", "perplexity",
        "bits_per_byte", "standard_error", "reference", "tasks", "seconds", "peak_bytes",
      ])
    let reference = try #require(top["reference"] as? [String: Any])
    #expect(
      Set(reference.keys) == [
        "perplexity", "kl_mean", "kl_median", "kl_p99", "kl_max", "top1_agreement",
      ])
    let tasks = try #require(top["tasks"] as? [[String: Any]])
    #expect(
      Set(tasks[0].keys) == [
        "name", "items", "accuracy", "accuracy_normalized", "standard_error",
      ])
  }
}
