import ArgumentParser
import HalftoneEvaluation
import HalftonePipeline
import HalftoneTokenizers

struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Compare two models: size, layers, predictions.",
    discussion: """
      Layers are compared by the relative distance of their weights, and by the errors in their
      reports where both models have one. With --text, both are run and the divergence of B's
      predictions from A's is measured.

      Examples:
        halftone compare tiny-rtn tiny-gptq
        halftone compare models/tiny tiny-w4 --text test.txt --context 512 --json
      """)

  @Argument(help: "The model to compare with, say the original.")
  var first: String

  @Argument(help: "The other model.")
  var second: String

  @Option(help: "A UTF-8 text to predict with both.")
  var text: String?

  @Option(help: "Tokens per window.")
  var context = 512

  @Option(help: "Only the first so many windows.")
  var windows: Int?

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

  func run() throws {
    threads.apply()
    let document = Document(
      sizes: try ModelComparison(first, second), predictions: try text.map(predictions))
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
    let (a, b) = (try OpenedModel(path: first), try OpenedModel(path: second))
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
