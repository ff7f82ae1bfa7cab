import Foundation
import HalftoneEvaluation
import HalftonePipeline
import HalftoneReport

/// Runs the parts of a comparison, each as a process of its own.
struct RecipeTrials {
  let options: ComparisonOptions
  let quiet: Bool

  private var program: ChildProgram { ChildProgram(isShown: !quiet) }

  func quantize(_ trial: RecipeComparison.Trial) throws -> RunRecord {
    var arguments = [
      "quantize", options.model, "--recipe", trial.recipe.source, "--output", trial.output,
      "--seed", "\(trial.seed)", "--resume", "--json",
    ]
    if !options.calibration.isEmpty { arguments += ["--calibration"] + options.calibration }
    if let samples = options.samples { arguments += ["--samples", "\(samples)"] }
    if let length = options.length { arguments += ["--length", "\(length)"] }
    return try RunRecord(json: run(arguments, trial))
  }

  func evaluate(_ trial: RecipeComparison.Trial) throws -> ComparisonRun.Predictions {
    var arguments = [
      "evaluate", trial.output, "--text", options.text, "--reference", options.model, "--context",
      "\(options.context)", "--json",
    ]
    if let windows = options.windows { arguments += ["--windows", "\(windows)"] }
    let data = try run(arguments, trial)
    let report = try JSONDecoder().decode(EvaluationReport.self, from: data)
    guard let perplexity = report.perplexity, let reference = report.reference else {
      throw EvaluationError("the evaluation measured nothing")
    }
    return ComparisonRun.Predictions(
      tokens: report.tokens ?? 0, perplexity: perplexity, standardError: report.standardError,
      originalPerplexity: reference.perplexity, klMean: reference.klMean, klP99: reference.klP99,
      top1Agreement: reference.top1Agreement)
  }

  private func run(_ arguments: [String], _ trial: RecipeComparison.Trial) throws -> Data {
    let common = ["--threads", "\(options.threads)"] + (quiet ? ["--quiet"] : [])
    let outcome = try program.run(arguments + common)
    if Interruption.isRequested { throw RecipeComparison.interruption(trial, options) }
    guard outcome.status == 0 else {
      throw TrialError(
        description: outcome.message, status: ExitStatus(rawValue: outcome.status) ?? .inside)
    }
    return outcome.output
  }
}

/// A process that quantized or evaluated came to no good end.
struct TrialError: Error, CustomStringConvertible {
  /// What it said.
  let description: String
  let status: ExitStatus
}
