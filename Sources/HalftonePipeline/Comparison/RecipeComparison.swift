import Foundation
import HalftoneTensor
public import HalftoneReport

/// Runs several recipes on one model, with the same text and seeds, and measures each alike.
///
/// What is measured is kept in the output as soon as it is known; a comparison that was stopped or
/// killed goes on from there.
public struct RecipeComparison {
  /// One recipe with one seed.
  public struct Trial {
    public let recipe: Recipe
    public let label: String
    public let seed: UInt64
    /// Where the quantized model is to be written.
    public let output: String
    /// Its place among all trials, counted from 1, and how many there are.
    public let number: Int
    public let count: Int
  }

  public var options: ComparisonOptions
  /// Writes a quantized model to the trial's output, going on with a run that was stopped there.
  public var quantize: (Trial) throws -> RunRecord
  /// Measures the model at the trial's output beside the original.
  public var evaluate: (Trial) throws -> ComparisonRun.Predictions
  /// Called before a trial of which nothing is known yet.
  public var willRun: (Trial) -> Void = { _ in }
  /// Called with each row as soon as it is complete.
  public var didFinish: (ComparisonRow) -> Void = { _ in }
  /// Called with what ended a recipe; the others go on.
  public var didFail: (any Error) -> Void = { _ in }
  /// Asked between the parts of the work; true ends the comparison so that it can be resumed.
  public var shouldStop: () -> Bool = { false }

  public init(
    _ options: ComparisonOptions, quantize: @escaping (Trial) throws -> RunRecord,
    evaluate: @escaping (Trial) throws -> ComparisonRun.Predictions
  ) {
    self.options = options
    self.quantize = quantize
    self.evaluate = evaluate
  }

  /// Runs all recipes and returns the table, which is then in the output as well.
  ///
  /// - Throws: what is wrong with the request, the model, the texts or the output; what ends a
  ///   recipe becomes part of its row, unless the user asked to stop.
  public func callAsFunction() throws -> ComparisonRecord {
    try checkRequest()
    let inputs = try Inputs(options)
    let folder = try ComparisonFolder(options)
    var rows: [ComparisonRow] = []
    for index in options.recipes.indices {
      let row = try row(index, inputs, folder)
      rows.append(row)
      didFinish(row)
    }
    let record = ComparisonRecord(
      model: options.model, calibration: options.calibration, text: options.text,
      context: options.context, windows: options.windows, seeds: options.seeds,
      versions: Version.record, rows: rows)
    try folder.write(record)
    return record
  }

  private func checkRequest() throws {
    for (index, recipe) in options.recipes.enumerated()
    where options.recipes[..<index].contains(where: { $0.source == recipe.source }) {
      throw PipelineError(.usage, "named twice; leave one out", at: recipe.source)
    }
    guard Set(options.seeds).count == options.seeds.count, !options.seeds.isEmpty else {
      throw PipelineError(.usage, "name each seed once", at: "--seeds")
    }
  }

  // MARK: - A recipe

  private func row(
    _ index: Int, _ inputs: Inputs, _ folder: ComparisonFolder
  ) throws -> ComparisonRow {
    let recipe = options.recipes[index]
    let label = options.labels[index]
    let counts = options.recipes.map { seeds(of: $0).count }
    var runs: [ComparisonRun] = []
    do {
      for (position, seed) in seeds(of: recipe).enumerated() {
        let fingerprint = inputs.fingerprint(recipe, seed, options)
        let name = try fingerprint.name(recipe.source)
        let trial = Trial(
          recipe: recipe, label: label, seed: seed, output: folder.modelPath(name),
          number: counts[..<index].reduce(0, +) + position + 1, count: counts.reduce(0, +))
        runs.append(try run(trial, name, fingerprint, folder))
      }
      return ComparisonRow(
        recipe: recipe.source, label: label, runs: runs, isSeedIndependent: !recipe.usesSeed)
    } catch  where !isStop(error) {
      didFail(error)
      return ComparisonRow(
        recipe: recipe.source, label: label, runs: runs, failure: "\(error)")
    }
  }

  /// One will do where the seed changes nothing.
  private func seeds(of recipe: Recipe) -> [UInt64] {
    recipe.usesSeed ? options.seeds : [options.seeds[0]]
  }

  /// What stops the comparison: the user, and an output that cannot be written.
  private func isStop(_ error: any Error) -> Bool {
    guard let error = error as? PipelineError else { return false }
    return error.code == .interrupted
      || error.place.hasPrefix(options.output)
        && [.cannotCreate, .inputOutput].contains(error.code)
  }

  /// What is known of a trial, or else what it gives.
  private func run(
    _ trial: Trial, _ name: String, _ fingerprint: TrialFingerprint, _ folder: ComparisonFolder
  ) throws -> ComparisonRun {
    let report = folder.report(name)
    if let known = folder.result(name, fingerprint), !options.keep || report != nil {
      return known
    }
    try stopIfAsked(trial)
    willRun(trial)
    let record = try report ?? quantize(trial)
    try stopIfAsked(trial)
    let digest = String(try OpenedModel(path: trial.output).digest(), radix: 16)
    let run = ComparisonRun(record, digest: digest, predictions: try evaluate(trial))
    try folder.save(run, name, fingerprint)
    if !options.keep { try folder.removeModel(name) }
    return run
  }

  private func stopIfAsked(_ trial: Trial) throws {
    guard shouldStop() else { return }
    throw Self.interruption(trial, options)
  }

  /// What to throw where the user stopped a trial.
  public static func interruption(
    _ trial: Trial, _ options: ComparisonOptions
  ) -> PipelineError {
    PipelineError(
      .interrupted,
      "stopped in run \(trial.number) of \(trial.count), \(trial.label) with seed \(trial.seed); the "
        + "same command with --resume goes on", at: options.output)
  }
}

/// Hashes of what all trials have in common.
private struct Inputs {
  let model: String
  let calibration: String?
  let text: String

  init(_ options: ComparisonOptions) throws {
    calibration =
      options.calibration.isEmpty
      ? nil : try Self.hash(options.calibration.map { try TextFile.read($0) }.joined())
    text = try Self.hash(TextFile.read(options.text))
    model = String(try OpenedModel(path: options.model).digest(), radix: 16)
  }

  private static func hash(_ text: String) -> String {
    String(ContentHash.of(Data(text.utf8)), radix: 16)
  }

  func fingerprint(
    _ recipe: Recipe, _ seed: UInt64, _ options: ComparisonOptions
  ) -> TrialFingerprint {
    let versions = Version.record
    let run = RunFingerprint(
      halftone: versions.halftone, model: model, recipe: recipe.canonicalText,
      calibration: calibration, seed: seed, samples: options.samples ?? recipe.calibration.samples,
      length: options.length ?? recipe.calibration.length, allowUnmatched: false,
      instructionSet: versions.instructionSet, blas: versions.blas)
    return TrialFingerprint(
      run: run, text: text, context: options.context, windows: options.windows,
      threads: options.threads)
  }
}
