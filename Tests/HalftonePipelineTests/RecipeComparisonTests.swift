import Foundation
import HalftonePipeline
import HalftoneReport
import HalftoneTestSupport
import Testing

@Suite struct RecipeComparisonTests {
  let scratch: Scratch
  let text: String

  init() throws {
    scratch = try Scratch()
    text = try scratch.write("text.txt", "Once upon a time there was a cat. ")
  }

  /// What the closures of a comparison were asked for.
  final class Log {
    var quantized: [String] = []
    var evaluated: [String] = []
    var rows: [ComparisonRow] = []
    var failures = 0
  }

  private func recipe(_ name: String, bits: Int = 4, group: Int = 4) throws -> Recipe {
    let file = try scratch.write(
      name + ".yaml", "scheme: { weights: { bits: \(bits), group: \(group) } }\nsteps: [ rtn ]\n")
    return try Recipe.load(file)
  }

  private func options(_ recipes: [Recipe]) -> ComparisonOptions {
    var options = ComparisonOptions(
      model: Fixture.model, recipes: recipes, text: text, output: scratch.path + "/out")
    options.resume = true
    return options
  }

  /// Quantizes in this process; says that `perplexity` was measured.
  private func comparison(
    _ options: ComparisonOptions, _ log: Log, perplexity: Double = 6
  ) -> RecipeComparison {
    var comparison = RecipeComparison(
      options,
      quantize: { trial in
        log.quantized.append("\(trial.label) \(trial.seed)")
        var run = QuantizationOptions(
          model: options.model, recipe: trial.recipe, output: trial.output)
        run.seed = trial.seed
        run.resume = true
        return try QuantizationRun(run)()
      },
      evaluate: { trial in
        log.evaluated.append("\(trial.label) \(trial.seed)")
        return ComparisonRun.Predictions(
          tokens: 10, perplexity: perplexity, standardError: nil, originalPerplexity: 5,
          klMean: 0.1,
          klP99: 1, top1Agreement: 0.5)
      })
    comparison.didFinish = { log.rows.append($0) }
    comparison.didFail = { _ in log.failures += 1 }
    return comparison
  }

  @Test func rowsComeInOrderAndModelsGo() throws {
    let log = Log()
    let record = try comparison(
      options([try recipe("four"), try recipe("three", bits: 3)]), log)()
    #expect(record.rows == log.rows)
    #expect(record.rows.map(\.label) == ["four", "three"])
    #expect(record.rows.allSatisfy { $0.failure == nil })
    #expect(record.rows[0].bytes ?? 0 > record.rows[1].bytes ?? .max)
    #expect(record.rows[0].perplexity?.mean == 6)
    #expect(record.pareto == ["three"])
    let out = scratch.path + "/out"
    let entries = try FileManager.default.contentsOfDirectory(atPath: out).sorted()
    #expect(entries == ["comparison.html", "comparison.json", "comparison.md", "results"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: out + "/results").count == 2)
    let stored = try Data(contentsOf: URL(fileURLWithPath: out + "/comparison.json"))
    #expect(try JSONDecoder().decode(ComparisonRecord.self, from: stored) == record)
  }

  /// Rounding to nearest gives the same model with any seed.
  @Test func seedsThatChangeNothingAreNotRun() throws {
    let log = Log()
    var options = options([try recipe("four")])
    options.seeds = [0, 1, 2, 3]
    let record = try comparison(options, log)()
    #expect(log.quantized == ["four 0"])
    #expect(log.evaluated == ["four 0"])
    #expect(record.rows[0].isSeedIndependent)
    #expect(record.rows[0].runs.map(\.seed) == [0])
  }

  @Test func whatIsMeasuredIsNotMeasuredAgain() throws {
    let (first, second) = (Log(), Log())
    let options = options([try recipe("four"), try recipe("three", bits: 3)])
    let before = try comparison(options, first)()
    let after = try comparison(options, second, perplexity: 99)()
    #expect(second.quantized.isEmpty && second.evaluated.isEmpty)
    #expect(before == after)
  }

  @Test func resultsOfOtherRequestsAreNotUsed() throws {
    let four = try recipe("four")
    _ = try comparison(options([four]), Log())()
    func runs(_ change: (inout ComparisonOptions) throws -> Void) throws -> Int {
      let log = Log()
      var options = options([four])
      try change(&options)
      _ = try comparison(options, log)()
      return log.quantized.count
    }
    #expect(try runs { _ in } == 0)
    #expect(try runs { $0.recipes = [try recipe("four", bits: 3)] } == 1)
    #expect(try runs { $0.seeds = [7] } == 1)
    #expect(try runs { $0.context = 64 } == 1)
    #expect(try runs { $0.windows = 3 } == 1)
    #expect(try runs { $0.samples = 3 } == 1)
    #expect(try runs { $0.threads = 2 } == 1)
    #expect(try runs { $0.calibration = [text] } == 1)
    #expect(try runs { $0.text = try scratch.write("other.txt", "Another text.") } == 1)
    #expect(
      try runs {
        $0.resume = false; $0.overwrite = true
      } == 1)
    #expect(try runs { $0.context = 64 } == 1)
  }

  @Test func aDamagedResultIsMeasuredAnew() throws {
    let options = options([try recipe("four")])
    _ = try comparison(options, Log())()
    let folder = scratch.path + "/out/results"
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
      try Data("{ \"run\": ".utf8).write(to: URL(fileURLWithPath: folder + "/" + name))
    }
    let log = Log()
    _ = try comparison(options, log)()
    #expect(log.evaluated == ["four 0"])
  }

  @Test func aRecipeThatFailsDoesNotStopTheOthers() throws {
    let log = Log()
    let record = try comparison(
      options([try recipe("odd", group: 48), try recipe("four")]), log)()
    #expect(record.rows[0].failure?.contains("groups of 48 do not divide") == true)
    #expect(record.rows[0].perplexity == nil)
    #expect(record.rows[1].failure == nil)
    #expect(record.pareto == ["four"])
    #expect(log.failures == 1)
  }

  /// A model that is complete is measured, not made again.
  @Test func aStopBetweenTheTwoPartsKeepsTheModel() throws {
    let (first, second) = (Log(), Log())
    let options = options([try recipe("four")])
    var stopped = comparison(options, first)
    stopped.shouldStop = { !first.quantized.isEmpty }
    let error = #expect(throws: PipelineError.self) { _ = try stopped() }
    #expect(error?.code == .interrupted)
    #expect(error?.message.contains("run 1 of 1, four with seed 0") == true)
    _ = try comparison(options, second)()
    #expect(second.quantized.isEmpty)
    #expect(second.evaluated == ["four 0"])
  }

  @Test func modelsAreKeptOnRequest() throws {
    var options = options([try recipe("four")])
    _ = try comparison(options, Log())()
    options.keep = true
    let log = Log()
    _ = try comparison(options, log)()
    #expect(log.quantized == ["four 0"])
    let models = scratch.path + "/out/models"
    let names = try FileManager.default.contentsOfDirectory(atPath: models)
    #expect(names.count == 1)
    #expect(try OpenedModel(path: models + "/" + (names.first ?? "")).isQuantized)
    let again = Log()
    _ = try comparison(options, again)()
    #expect(again.quantized.isEmpty)
  }

  @Test func anotherDirectoryIsNotTouched() throws {
    var options = options([try recipe("four")])
    options.output = scratch.path
    #expect(throws: PipelineError.self) { _ = try comparison(options, Log())() }
    options.output = text
    #expect(throws: PipelineError.self) { _ = try comparison(options, Log())() }
    #expect(try scratch.entries() == ["four.yaml", "text.txt"])
  }

  @Test func anExistingComparisonNeedsAWord() throws {
    var options = options([try recipe("four")])
    _ = try comparison(options, Log())()
    options.resume = false
    let error = #expect(throws: PipelineError.self) { _ = try comparison(options, Log())() }
    #expect(error?.code == .cannotCreate)
    #expect(error?.message.contains("--resume") == true)
  }

  @Test func labelsAreShortWhereThatIsUnique() throws {
    let recipes = try [recipe("a"), recipe("b")] + [Recipe.load("gptq-w4a16")]
    #expect(options(recipes).labels == ["a", "b", "gptq-w4a16"])
    var twin = recipes[0]
    twin.source = "other/a.yaml"
    #expect(options(recipes + [twin]).labels[0] == recipes[0].source)
    #expect(throws: PipelineError.self) {
      _ = try comparison(options([recipes[0], recipes[0]]), Log())()
    }
  }
}
