import Foundation
public import HalftoneLayers
public import HalftoneReport
public import HalftoneTokenizers
import HalftoneCheckpoints
import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor

/// Quantizes one model: recipe, plan, block loop, journal, checkpoint, verification, report.
public struct QuantizationRun {
  /// A text's perplexity on a model, measured before and after.
  public struct Measurement {
    public var text: String
    public var context: Int
    /// The tokens predicted and the perplexity.
    public var measure: (any LanguageModel, any Tokenizer) throws -> (tokens: Int, value: Double)

    public init(
      text: String, context: Int,
      measure: @escaping (any LanguageModel, any Tokenizer) throws -> (tokens: Int, value: Double)
    ) {
      self.text = text
      self.context = context
      self.measure = measure
    }
  }

  public var options: QuantizationOptions
  public var measurement: Measurement?
  /// Called often, from the thread that runs.
  public var progress: (RunProgress) -> Void = { _ in }
  /// Called with what the user should know at once.
  public var warn: (String) -> Void = { _ in }
  /// Asked after each block; true ends the run so that it can be resumed.
  public var shouldStop: () -> Bool = { false }
  /// Whether runs that need only weights go past the block loop, which gives the same bytes.
  package var streams = true

  public init(_ options: QuantizationOptions) { self.options = options }

  /// Runs to the end and returns what `report.json` in the output says.
  ///
  /// - Throws: what is wrong with the model, the recipe, the text or the output. Nothing is left
  ///   behind, but for finished blocks where the run can be resumed.
  public func callAsFunction() throws -> RunRecord {
    let start = ContinuousClock().now
    let target = OutputTarget(options.output)
    try target.check(options)
    let opened = try OpenedModel(path: options.model)
    let plan = try Plan(
      options.recipe, for: try opened.layout(), calibration: options.calibrationSize,
      allowUnmatched: options.allowUnmatched)
    plan.warnings.forEach(warn)
    try checkFormat(opened, plan)
    try checkRequest(plan)
    let tokenizer =
      options.calibration.isEmpty && measurement == nil ? nil : try opened.tokenizer()
    let calibration = try readCalibration(tokenizer)
    calibration?.warnings.forEach(warn)
    let before = try perplexity(opened, tokenizer)
    progress(RunProgress(phase: "reading the model", fraction: 0))
    try opened.store.checkSideFiles()
    let work = Work(
      opened: opened, plan: try settled(plan, opened, calibration), calibration: calibration,
      tokenizer: tokenizer, perplexityBefore: before, start: start)
    if plan.hasOpenChoices { try checkFormat(opened, work.plan) }
    if streams, StreamedRun.serves(work.plan, options) {
      return try StreamedRun(run: self, work: work)(target)
    }
    for name in opened.store.names {
      try opened.store.checkFinite(name)
      opened.store.evict(name)
    }
    let fingerprint = try fingerprint(work, model: nil)
    let journal = try Journal(output: target.path)
    let finished = try open(journal, fingerprint, work)
    return try keepingJournal(journal, work) {
      try solveBlocks(work, journal, from: finished)
      let record = try OutputWriter(
        run: self, work: work, journal: journal, resumedBlocks: finished
      ).write()
      try target.publish(journal)
      try journal.remove()
      return record
    }
  }

  /// What is known before the first block.
  struct Work {
    let opened: OpenedModel
    let plan: Plan
    let calibration: Calibration?
    let tokenizer: (any Tokenizer)?
    let perplexityBefore: (tokens: Int, value: Double)?
    let start: ContinuousClock.Instant
  }

  // MARK: - Before the work

  /// What is lost in the output's format is said once it is known which formats the layers take.
  private func checkFormat(_ opened: OpenedModel, _ plan: Plan) throws {
    guard options.format == .gguf else {
      guard !(opened.store is GGUFCheckpoint) else {
        throw PipelineError(
          .badInput,
          "a GGUF file has no tokenizer.json for the output; use --format gguf, or the original",
          at: options.model)
      }
      return
    }
    try GGUFOutput.check(plan)
    if !plan.hasOpenChoices { try GGUFOutput.export(opened, plan).notices.forEach(warn) }
  }

  private func checkRequest(_ plan: Plan) throws {
    let hasText = !options.calibration.isEmpty
    guard hasText || !plan.needsCalibration else {
      let names = plan.recipe.steps.filter(\.part.learnsFromText).map(\.name)
      let need =
        names.isEmpty
        ? "\(plan.recipe.cache == nil ? "inputs with dynamic: false need" : "scheme.cache needs") "
          + "calibration text"
        : "\(names.joined(separator: ", ")) learns from text"
      throw PipelineError(.usage, "\(need): give --calibration FILE", at: plan.recipe.source)
    }
    if hasText { try plan.checkLength() }
    if let memory = options.memory {
      try plan.check(memory, hasText, streams: StreamedRun.serves(plan, options))
    }
  }

  /// The plan with the choices that the recipe leaves to the run.
  private func settled(
    _ plan: Plan, _ opened: OpenedModel, _ calibration: Calibration?
  ) throws -> Plan {
    let loop = BlockLoop(
      model: opened.model, source: options.model, plan: plan, calibration: calibration,
      seed: options.seed)
    return try SchemeSearch(loop: loop, store: opened.store) { block, blocks in
      if shouldStop() {
        throw PipelineError(
          .interrupted, "stopped before the first block; the same command starts again",
          at: options.output)
      }
      progress(
        RunProgress(
          phase: "choosing formats, block \(block + 1) of \(blocks)", fraction: 0))
    }()
  }

  private func readCalibration(_ tokenizer: (any Tokenizer)?) throws -> Calibration? {
    guard let tokenizer, !options.calibration.isEmpty else { return nil }
    return try Calibration(
      files: options.calibration, size: options.calibrationSize, tokenizer: tokenizer)
  }

  func perplexity(
    _ opened: OpenedModel, _ tokenizer: (any Tokenizer)?
  ) throws -> (tokens: Int, value: Double)? {
    guard let measurement, let tokenizer else { return nil }
    progress(RunProgress(phase: "measuring perplexity", fraction: 0))
    return try measurement.measure(opened.model, tokenizer)
  }

  /// What the result depends on; `model` stands for the hash of all weights where it is known.
  func fingerprint(_ work: Work, model: String?) throws -> RunFingerprint {
    let versions = Version.record
    return RunFingerprint(
      halftone: versions.halftone,
      model: try model ?? String(try work.opened.digest(), radix: 16),
      recipe: options.recipe.canonicalText,
      calibration: work.calibration.map { String($0.digest, radix: 16) }, seed: options.seed,
      samples: work.plan.calibration.samples, length: work.plan.calibration.length,
      allowUnmatched: options.allowUnmatched, instructionSet: versions.instructionSet,
      blas: versions.blas)
  }

  /// Makes the journal ready and returns how many blocks it has.
  private func open(
    _ journal: Journal, _ fingerprint: RunFingerprint, _ work: Work
  ) throws -> Int {
    guard options.resume, journal.hasBegun else {
      try journal.clear()
      try journal.begin(fingerprint)
      return 0
    }
    try journal.checkSame(fingerprint)
    let finished = journal.finishedBlocks(of: work.plan.model.blockCount)
    for index in 0..<finished { _ = try journal.block(index, layers: work.layers(index)) }
    return finished
  }

  // MARK: - The work

  private func solveBlocks(_ work: Work, _ journal: Journal, from finished: Int) throws {
    let count = work.plan.model.blockCount
    let loop = BlockLoop(
      model: work.opened.model, source: options.model, plan: work.plan,
      calibration: work.calibration, seed: options.seed)
    guard finished < count else { return }
    var streams = try work.streams(enteringBlock: finished, journal, loop)
    var carried = try journal.carried(enteringBlock: finished)
    for index in finished..<count {
      if shouldStop() { throw interruption(index, count) }
      let phase = "block \(index + 1) of \(count)"
      progress(RunProgress(phase: phase, fraction: Double(index) / Double(count)))
      let result = try loop.solve(index, &streams, carried: &carried) { step in
        progress(
          RunProgress(
            phase: phase, fraction: (Double(index) + step.fraction) / Double(count),
            loss: step.loss))
      }
      try journal.save(
        result, block: index, next: index + 1 < count ? streams : nil, carried: carried,
        durably: work.calibration != nil)
      warnings(of: result).forEach { warn("\(phase): \($0)") }
    }
    if shouldStop() { throw interruption(count, count) }
  }

  /// What a block's layers have in common is said once: methods that fit the whole block often trade
  /// one layer's error for another's.
  private func warnings(of result: BlockResult) -> [String] {
    let records = result.layers.map(\.record)
    let worse = records.filter { $0.errorAfter > $0.errorRTN }.count
    var layers: [String: [String]] = [:]
    var texts: [String] = []
    for record in records {
      for text in record.warnings where !text.hasPrefix(LayerRecord.worseThanRounding) {
        if layers[text] == nil { texts.append(text) }
        layers[text, default: []].append(record.name)
      }
    }
    let own = texts.map { text in
      let names = layers[text] ?? []
      return names.count == 1 ? "\(names[0]): \(text)" : "\(names.count) layers: \(text)"
    }
    guard worse > 0 else { return own }
    return own + [
      "\(worse) of \(records.count) layers have a larger output error on their own than rounding to "
        + "nearest; the report lists them"
    ]
  }

  private func interruption(_ done: Int, _ count: Int) -> PipelineError {
    PipelineError(
      .interrupted,
      "stopped with \(done) of \(count) blocks finished; the same command with --resume goes on",
      at: options.output)
  }

  // MARK: - Failure

  /// Removes the journal if `body` fails, unless finished blocks are in it.
  private func keepingJournal<R>(
    _ journal: Journal, _ work: Work, _ body: () throws -> R
  ) throws -> R {
    do {
      return try body()
    } catch {
      let finished = journal.finishedBlocks(of: work.plan.model.blockCount)
      guard finished > 0, Self.isWorthResuming(error) else {
        try? journal.remove()
        throw error
      }
      if (error as? PipelineError)?.code != .interrupted {
        warn("\(finished) finished blocks are kept; the same command with --resume goes on")
      }
      throw error
    }
  }

  /// Finished blocks took time to make, and what failed after them can be put right; only a request
  /// that contradicts itself will never come to its end.
  private static func isWorthResuming(_ error: any Error) -> Bool {
    (error as? PipelineError)?.code != .usage
  }
}

extension QuantizationRun.Work {
  /// The layers of block `index` that are quantized, in the order in which they run.
  func layers(_ index: Int) -> [Plan.Layer] {
    plan.layers.filter { $0.module.block == index && $0.scheme?.weights != nil }
  }

  fileprivate func streams(
    enteringBlock index: Int, _ journal: Journal, _ loop: BlockLoop
  ) throws -> Streams? {
    guard index > 0, let calibration else { return try loop.firstStreams() }
    return try journal.streams(
      index, length: calibration.length, rows: calibration.ids.count,
      hidden: plan.model.hiddenSize)
  }
}
