import ArgumentParser
import Foundation
import HalftoneEvaluation
import HalftoneInference
import HalftonePipeline
import HalftoneTokenizers

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure a model's perplexity on a text, and its accuracy on tasks.",
    discussion: """
      The text is encoded once, cut into windows of --context tokens, the remainder dropped; each
      window predicts its tokens but the first. With --reference, the same tokens are also run
      through another model and the divergence is measured.

      Examples:
        halftone evaluate models/tiny --text test.txt --context 512
        halftone evaluate tiny-w4 --text test.txt --reference models/tiny --json
        halftone evaluate tiny-w4 --task cloze.jsonl
      """)

  @Argument(
    help: "A Hugging Face directory, quantized or not, a .gguf file, or a llama2.c .bin file.")
  var model: String

  @Option(help: "A UTF-8 text to predict.")
  var text: String?

  @Option(help: "A model to compare the predictions with, say the original.")
  var reference: String?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Multiple-choice questions, {\"query\", \"choices\", \"gold\"} a line.", valueName: "file"))
  var task: [String] = []

  @Option(help: "Tokens per window.")
  var context = 512

  @Option(help: "Only the first so many windows.")
  var windows: Int?

  @Flag(
    name: .customLong("float"),
    help: "Run a quantized model's definition in floats instead of the kernels.")
  var runsDefinition = false

  @OptionGroup var engine: EngineArguments
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if text == nil && task.isEmpty { throw ValidationError("Give --text FILE or --task FILE.") }
    if text == nil && reference != nil { throw ValidationError("--reference needs --text FILE.") }
    if runsDefinition && engine.isGiven {
      throw ValidationError("--float runs without the engine: leave out its options.")
    }
    if context < 2 { throw ValidationError("--context must be at least 2.") }
    if let windows, windows < 1 { throw ValidationError("--windows must be at least 1.") }
  }

  func run() throws {
    threads.apply()
    let start = ContinuousClock().now
    let opened = try OpenedModel(path: model)
    let tokenizer = try opened.tokenizer()
    var report = EvaluationReport(model: model, seconds: 0, peakBytes: 0)
    let measured = try measured(opened)
    if let text { try measure(text, measured, tokenizer, &report) }
    for file in task { report.tasks.append(try answer(file, measured, tokenizer)) }
    report.seconds = (ContinuousClock().now - start) / .seconds(1)
    report.peakBytes = ProcessMemory.peakBytes
    if common.json {
      try StandardOutput.json(report)
    } else {
      EvaluationText.lines(report).forEach(StandardOutput.line)
    }
  }

  private func measured(_ opened: OpenedModel) throws -> MeasuredModel {
    guard !runsDefinition, opened.isQuantized || engine.isGiven else {
      return .definition(opened.model)
    }
    return .engine(try Engine(opened.model, options: engine.exactOptions))
  }

  private func measure(
    _ file: String, _ measured: MeasuredModel, _ tokenizer: any Tokenizer,
    _ report: inout EvaluationReport
  ) throws {
    let ids = tokenizer.encode(try TextFile.read(file))
    let options = PerplexityOptions(context: context, windows: windows)
    let other = try reference.map { try self.measured(OpenedModel(path: $0)) }
    let progress = common.progress
    defer { progress.clear() }
    let result = try Perplexity.evaluate(
      measured, ids: ids, options: options, reference: other
    ) { progress.update("perplexity", $0) }
    report.add(
      result, text: file, context: context,
      bitsPerByte: Perplexity.bitsPerByte(
        result, ids: ids, options: options, tokenizer: tokenizer))
  }

  private func answer(
    _ file: String, _ measured: MeasuredModel, _ tokenizer: any Tokenizer
  ) throws -> TaskResult {
    let name = URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
    let lines = Data(try TextFile.read(file).utf8)
    let task = try MultipleChoiceTask(name: name, jsonLines: lines)
    let progress = common.progress
    defer { progress.clear() }
    return try MultipleChoice.evaluate(measured, task: task, tokenizer: tokenizer) {
      progress.update(name, $0)
    }
  }
}

/// An evaluation in a few lines for the terminal.
enum EvaluationText {
  static func lines(_ report: EvaluationReport) -> [String] {
    var lines: [String] = []
    if let perplexity = report.perplexity, let tokens = report.tokens {
      let error = report.standardError.map { " ± \(ByteSize.fixed($0, 4))" } ?? ""
      lines.append("perplexity     \(ByteSize.fixed(perplexity, 4))\(error)")
      lines.append("bits/byte      \(ByteSize.fixed(report.bitsPerByte ?? 0, 4))")
      lines.append("tokens         \(tokens) in windows of \(report.context ?? 0)")
    }
    if let reference = report.reference {
      lines.append("reference      \(ByteSize.fixed(reference.perplexity, 4))")
      lines.append(
        "KL divergence  \(ByteSize.fixed(reference.klMean, 5)) nats on average, "
          + "\(ByteSize.fixed(reference.klP99, 5)) at 99 %")
      lines.append("same top word  \(ByteSize.fixed(reference.top1Agreement * 100, 2)) %")
    }
    for task in report.tasks {
      let error = task.standardError.map { " ± \(ByteSize.fixed($0 * 100, 2))" } ?? ""
      lines.append(
        "\(task.name)  \(ByteSize.fixed(task.accuracy * 100, 2))\(error) % of \(task.items) right, "
          + "\(ByteSize.fixed(task.accuracyNormalized * 100, 2)) % by length")
    }
    lines.append("time           \(TimeSpan.text(report.seconds))")
    return lines
  }
}
