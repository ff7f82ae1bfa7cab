import ArgumentParser
import HalftonePipeline
import HalftoneReport
import HalftoneTensor

/// What comparing recipes adds to the command.
struct ComparisonArguments: ParsableArguments {
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Shipped recipes' names and recipe files, with commas or spaces between.",
      valueName: "name|file"))
  var recipes: [CommaList<String>] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("UTF-8 texts to learn from, joined in this order.", valueName: "file"))
  var calibration: [String] = []

  @Option(help: "Samples to learn from, in place of the recipes'.")
  var samples: Int?

  @Option(help: "Tokens of each sample, in place of the recipes'.")
  var length: Int?

  @Option(help: ArgumentHelp("The seeds to run each recipe with. Default: 0.", valueName: "0,1,2"))
  var seeds: CommaList<UInt64>?

  @Option(help: ArgumentHelp("The directory in which results are kept.", valueName: "directory"))
  var output: String?

  @Flag(help: "Go on with the comparison in the output; measure only what is not there.")
  var resume = false

  @Flag(help: "Forget the comparison in the output.")
  var overwrite = false

  @Flag(help: "Leave the quantized models in the output.")
  var keep = false

  var isGiven: Bool { !recipes.isEmpty }

  func validate() throws {
    guard isGiven else {
      let sizes = samples != nil || length != nil || seeds != nil
      if !calibration.isEmpty || sizes || output != nil || resume || overwrite || keep {
        throw ValidationError(
          "--calibration, --samples, --length, --seeds, --output, --resume, --overwrite and --keep "
            + "belong to --recipes.")
      }
      return
    }
    if output == nil { throw ValidationError("--recipes needs --output DIRECTORY.") }
    if resume && overwrite {
      throw ValidationError("--resume and --overwrite contradict each other.")
    }
    for (name, value) in [("--samples", samples), ("--length", length)] {
      if let value, !(1...1 << 24).contains(value) {
        throw ValidationError("\(name) must be at least 1.")
      }
    }
  }
}

/// Values with commas between them.
struct CommaList<Element: LosslessStringConvertible & Sendable>: ExpressibleByArgument, Sendable {
  let values: [Element]

  init?(argument: String) {
    let words = argument.split(separator: ",", omittingEmptySubsequences: false)
    let values = words.compactMap { Element(String($0)) }
    guard values.count == words.count, !words.contains("") else { return nil }
    self.values = values
  }
}

extension CompareCommand {
  func compareRecipes() throws {
    Interruption.listen()
    let options = try options()
    let trials = RecipeTrials(options: options, quiet: common.quiet)
    let table = ComparisonText(labels: options.labels)
    var comparison = RecipeComparison(
      options, quantize: trials.quantize, evaluate: trials.evaluate)
    comparison.willRun = { trial in
      guard !common.quiet else { return }
      StandardError.line(
        "\(trial.label), seed \(trial.seed): run \(trial.number) of \(trial.count)")
    }
    comparison.shouldStop = { Interruption.isRequested }
    var failures: [any Error] = []
    comparison.didFail = { failures.append($0) }
    if !common.json {
      var hasHeader = false
      comparison.didFinish = { row in
        if !hasHeader { StandardOutput.line(table.header) }
        hasHeader = true
        StandardOutput.line(table.row(row))
      }
    }
    let record = try comparison()
    if common.json {
      StandardOutput.write(try record.json())
    } else {
      StandardOutput.line("\n" + table.ending(record))
    }
    guard let first = failures.first else { return }
    throw TrialError(
      description:
        "\(failures.count) of \(options.recipes.count) recipes failed; the table says why",
      status: ExitStatus(first) ?? .inside)
  }

  private func options() throws -> ComparisonOptions {
    let recipes = try comparison.recipes.flatMap(\.values).map { try Recipe.load($0) }
    var options = ComparisonOptions(
      model: models[0], recipes: recipes, text: text ?? "", output: comparison.output ?? "")
    options.calibration = comparison.calibration
    options.samples = comparison.samples
    options.length = comparison.length
    options.context = context
    options.windows = windows
    options.seeds = comparison.seeds?.values ?? [0]
    options.resume = comparison.resume
    options.overwrite = comparison.overwrite
    options.keep = comparison.keep
    options.threads = Parallelism.threads
    return options
  }
}
