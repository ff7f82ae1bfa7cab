import ArgumentParser
import HalftoneEvaluation
import HalftonePipeline
import HalftoneTokenizers

struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Compare two models, or several recipes on one model.",
    discussion: """
      Two models: layers are compared by the relative distance of their weights, and by the errors
      in their reports where both models have one. With --text, both are run and the divergence of
      B's predictions from A's is measured.

      With --recipes, one model is quantized by each recipe with each seed, and size, errors,
      perplexity, divergence, time and memory are put in one table: a row as soon as a recipe is
      finished, then the Pareto front. All results are kept in --output, as JSON, Markdown and HTML
      too; with --resume nothing that was measured there is measured again. A recipe that does
      not depend on the seed is run once.

      Examples:
        halftone compare tiny-rtn tiny-gptq
        halftone compare models/tiny tiny-w4 --text test.txt --context 512 --json
        halftone compare models/tiny --recipes gptq-w4a16,flexround-w4a16,my.yaml \\
          --calibration train.txt --text test.txt --seeds 0,1,2 --output comparison
      """)

  @Argument(
    help: "The model to compare with, say the original, and the other model; with --recipes one.")
  var models: [String]

  @Option(help: "A UTF-8 text to predict.")
  var text: String?

  @Option(help: "Tokens per window.")
  var context = 512

  @Option(help: "Only the first so many windows.")
  var windows: Int?

  @OptionGroup(title: "Recipes") var comparison: ComparisonArguments
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  struct Document: Encodable {
    var sizes: ModelComparison
    var predictions: Predictions?
  }

  struct Predictions: Encodable {
    var text: String
    var tokens: Int
    var first: Double
    var second: Double
    var divergence: ReferenceComparison

    enum CodingKeys: String, CodingKey {
      case text, tokens, divergence
      case first = "perplexity_first"
      case second = "perplexity_second"
    }
  }

  func validate() throws {
    guard comparison.isGiven else {
      guard models.count == 2 else {
        throw ValidationError("Name two models, or one model and --recipes.")
      }
      return
    }
    guard models.count == 1 else { throw ValidationError("With --recipes, name one model.") }
    guard text != nil else { throw ValidationError("--recipes needs --text FILE.") }
    if context < 2 { throw ValidationError("--context must be at least 2.") }
    if let windows, windows < 1 { throw ValidationError("--windows must be at least 1.") }
  }

  func run() throws {
    threads.apply()
    if comparison.isGiven { return try compareRecipes() }
    let document = Document(
      sizes: try ModelComparison(models[0], models[1]), predictions: try text.map(predictions))
    if common.json { return try StandardOutput.json(document) }
    StandardOutput.write(document.sizes.text)
    guard let predictions = document.predictions else { return }
    let divergence = predictions.divergence
    StandardOutput.line(
      "perplexity  \(ByteSize.fixed(predictions.first, 4)) and "
        + "\(ByteSize.fixed(predictions.second, 4)) on \(predictions.tokens) tokens")
    StandardOutput.line(
      "divergence  \(ByteSize.fixed(divergence.klMean, 5)) nats on average; the same top word for "
        + "\(ByteSize.fixed(divergence.top1Agreement * 100, 2)) %")
  }

  private func predictions(_ file: String) throws -> Predictions {
    let (a, b) = (try OpenedModel(path: models[0]), try OpenedModel(path: models[1]))
    let ids = try a.tokenizer().encode(try TextFile.read(file))
    let progress = common.progress
    defer { progress.clear() }
    let result = try Perplexity.evaluate(
      b.model, ids: ids, options: PerplexityOptions(context: context, windows: windows),
      reference: a.model
    ) { progress.update("comparing", $0) }
    guard let divergence = result.reference else {
      throw EvaluationError("no comparison was made")
    }
    return Predictions(
      text: file, tokens: result.tokens, first: divergence.perplexity, second: result.perplexity,
      divergence: divergence)
  }
}
