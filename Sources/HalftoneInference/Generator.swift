public import HalftoneLayers

/// A model held in memory, which continues token sequences.
public struct Generator: Sendable {
  public let engine: Engine
  /// The most positions that prompt and new tokens may take together.
  public let capacity: Int
  /// Prompts run in pieces of this many tokens, which bounds the memory of a step.
  static let prefillLength = 512

  /// Reads all weights of `model`; `capacity` is the most positions of one sequence, nil for the
  /// model's context length.
  ///
  /// - Throws: ``GenerationError`` if the capacity is not 1 to the context length; what the model
  ///   throws.
  public init(_ model: any LanguageModel, capacity: Int? = nil) throws {
    try self.init(Engine(model), capacity: capacity)
  }

  /// A generator on an engine that may serve others too.
  ///
  /// - Throws: ``GenerationError`` if the capacity is not 1 to the context length.
  public init(_ engine: Engine, capacity: Int? = nil) throws(GenerationError) {
    let capacity = capacity ?? engine.contextLength
    guard (1...engine.contextLength).contains(capacity) else {
      throw GenerationError(
        "a capacity of \(capacity) positions; the model has room for 1 to \(engine.contextLength)")
    }
    self.engine = engine
    self.capacity = capacity
  }

  /// Continues `prompt`; `onToken` is called with each new token as it is chosen and may throw to
  /// stop.
  ///
  /// - Throws: ``GenerationError`` if the prompt is empty, or if it and `options.tokens` more do not
  ///   fit the capacity; what `onToken` throws.
  public func generate(
    _ prompt: [Int], _ options: GenerationOptions, onToken: (Int) throws -> Void = { _ in }
  ) throws -> Generation {
    let results = try generate([prompt], options) { _, id in try onToken(id) }
    return results[0]
  }

  /// Continues all `prompts` together, prompt i drawing with the seed `options.sampling.seed` + i;
  /// `onToken` is called with the index of the prompt and its new token.
  ///
  /// - Throws: as for one prompt, before anything is run.
  public func generate(
    _ prompts: [[Int]], _ options: GenerationOptions,
    onToken: (Int, Int) throws -> Void = { _, _ in }
  ) throws -> [Generation] {
    try run(prompts, options) { index, id in
      try onToken(index, id)
      return true
    }
  }

  /// Continues `prompts`; a sequence ends where `onToken` answers false.
  func run(
    _ prompts: [[Int]], _ options: GenerationOptions, onToken: (Int, Int) throws -> Bool
  ) throws -> [Generation] {
    var active = try prompts.indices.map { index in
      var options = options
      options.sampling.seed &+= UInt64(index)
      return try ActiveSequence(engine, prompts[index], options, capacity: capacity)
    }
    let clock = ContinuousClock()
    let start = clock.now
    var times = prompts.map { _ in (prefilled: start, end: start) }
    while true {
      let step = Step(active, prefill: Self.prefillLength)
      guard !step.parts.isEmpty else { break }
      let logits = try engine.run(
        step.parts.map { EngineInput(active[$0.index].sequence, active[$0.index].chunk($0.count)) })
      let now = clock.now
      for (row, (index, count)) in zip(logits, step.parts) {
        if active[index].ids.isEmpty { times[index].prefilled = now }
        if let id = try active[index].accept(row, after: count), try !onToken(index, id) {
          active[index].stop()
        }
        times[index].end = clock.now
      }
    }
    return zip(active, times).map { active, time in
      Generation(
        active, prefill: start.duration(to: time.prefilled),
        decode: time.prefilled.duration(to: time.end))
    }
  }
}

extension Generation {
  init(_ active: ActiveSequence, prefill: Duration, decode: Duration) {
    ids = active.ids
    finish = active.finish ?? .tokenLimit
    promptCount = active.promptCount
    prefillSeconds = prefill / .seconds(1)
    decodeSeconds = decode / .seconds(1)
    decodedCount = max(0, active.sequence.count - active.promptCount)
  }
}
