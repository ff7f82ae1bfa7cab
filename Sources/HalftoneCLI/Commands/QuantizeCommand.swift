import ArgumentParser
import Foundation
import HalftonePipeline
import HalftoneReport

struct QuantizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Quantize a model and report what that cost.",
    discussion: """
      The output is a directory in the compressed-tensors format with report.json, report.html
      and recipe.yaml inside, or with --format gguf one file in which codes are kept and scales are
      rounded to halves. It appears complete or not at all. A run that was stopped or killed
      goes on with --resume, to the same bytes as a run that was not.

      Examples:
        halftone quantize models/tiny --recipe gptq-w4a16 --calibration text.txt --output tiny-w4
        halftone quantize models/tiny --recipe rtn-w4a16 --output tiny-rtn
        halftone quantize models/tiny --recipe my.yaml --calibration a.txt b.txt --output out \\
          --evaluate test.txt --context 512 --json
        halftone quantize models/tiny --recipe rtn-w4a16 --format gguf --output tiny.gguf
      """)

  @Argument(help: "A Hugging Face directory, a .gguf file, or a llama2.c .bin file.")
  var model: String

  @OptionGroup var recipeOptions: RecipeOptions

  @Option(help: "The directory to write, or the .gguf file.")
  var output: String

  @Option(help: "compressed-tensors or gguf; others are not supported in this version.")
  var format = "compressed-tensors"

  @Option(help: "The seed of everything random; the same seed gives the same bytes.")
  var seed: UInt64 = 0

  @Flag(help: "Go on with a run that was stopped or killed.")
  var resume = false

  @Flag(help: "Replace the model at the output; forget an unfinished run.")
  var overwrite = false

  @Option(
    help: ArgumentHelp("A text to measure perplexity on before and after.", valueName: "file"))
  var evaluate: String?

  @Option(help: "Tokens per window of --evaluate.")
  var context = 512

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    _ = try OutputFormat.named(format)
    if resume && overwrite {
      throw ValidationError("--resume and --overwrite contradict each other.")
    }
  }

  func run() throws {
    threads.apply()
    Interruption.listen()
    let progress = common.progress
    var run = QuantizationRun(try options())
    var phase = ""
    run.progress = { step in
      if step.phase != phase {
        phase = step.phase
        progress.clear()
        common.say(phase)
      }
      progress.update(step.phase, step.fraction, loss: step.loss)
    }
    run.warn = { text in
      progress.clear()
      common.warn(text)
    }
    run.shouldStop = { Interruption.isRequested }
    run.measurement = try evaluate.map { try PerplexityMeasurement.of($0, context: context) }
    let record: RunRecord
    do {
      record = try run()
    } catch {
      progress.clear()
      throw error
    }
    progress.clear()
    if common.json {
      StandardOutput.write(try record.json())
    } else {
      StandardOutput.write(TextReport.summary(record, output: output))
    }
  }

  private func options() throws -> QuantizationOptions {
    var options = QuantizationOptions(
      model: model, recipe: try Recipe.load(recipeOptions.recipe), output: output)
    options.calibration = recipeOptions.calibration
    options.samples = recipeOptions.samples
    options.length = recipeOptions.length
    options.memory = recipeOptions.memory?.bytes
    options.allowUnmatched = recipeOptions.allowUnmatched
    options.format = try OutputFormat.named(format)
    options.seed = seed
    options.resume = resume
    options.overwrite = overwrite
    return options
  }
}

extension OutputFormat {
  /// The formats of the contract, of which this version writes two.
  private static let contract = ["compressed-tensors", "gptq", "awq", "gguf", "mlx"]

  /// The format of that name.
  static func named(_ name: String) throws -> OutputFormat {
    guard contract.contains(name) else {
      throw ValidationError("--format must be one of \(contract.joined(separator: ", ")).")
    }
    guard let format = OutputFormat(rawValue: name) else {
      throw ValidationError(
        "--format \(name) is not supported in this version; use --format compressed-tensors or "
          + "gguf.")
    }
    return format
  }
}
