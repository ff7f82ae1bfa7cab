/// A sequence that is being generated: what has not been run yet, and what was chosen so far.
struct ActiveSequence {
  let sequence: EngineSequence
  let promptCount: Int
  private let limit: Int
  private let ends: Set<Int>
  private var sampler: Sampler
  /// The ids to run next: the rest of the prompt, or the latest token.
  private(set) var waiting: ArraySlice<Int>
  private(set) var ids: [Int] = []
  private(set) var finish: Generation.Finish?

  /// A sequence with room for just what `options` ask for.
  ///
  /// - Throws: ``GenerationError`` if prompt and options cannot be served; see
  ///   ``check(_:_:capacity:)``.
  init(
    _ engine: Engine, _ prompt: [Int], _ options: GenerationOptions, capacity: Int
  ) throws {
    try Self.check(prompt, options, capacity: capacity)
    // The last new token is not run through the model, so it needs no place.
    sequence = try engine.sequence(capacity: prompt.count + max(0, options.tokens - 1))
    promptCount = prompt.count
    limit = options.tokens
    ends = options.stop ?? Set(engine.endOfTextIds)
    sampler = try Sampler(options.sampling, after: prompt)
    waiting = prompt[...]
  }

  var isPrefilled: Bool { sequence.count >= promptCount }

  /// The ids to run in the next step, at most `length` of them.
  func chunk(_ length: Int) -> [Int] { Array(waiting.prefix(length)) }

  /// Takes the logits that came after the next `count` waiting ids; the token chosen from them, or
  /// nil while the prompt is not complete and at the end.
  mutating func accept(_ logits: [Float], after count: Int) throws(GenerationError) -> Int? {
    waiting = waiting.dropFirst(count)
    guard waiting.isEmpty else { return nil }
    guard limit > 0 else {
      finish = .tokenLimit
      return nil
    }
    let id = try sampler.next(logits)
    if ends.contains(id) {
      finish = .endOfText
      return nil
    }
    ids.append(id)
    waiting = [id]
    if ids.count == limit { finish = .tokenLimit }
    return id
  }

  /// Ends the sequence after the latest token.
  mutating func stop() { finish = .stopString }

  /// Checks what can be known before anything is run.
  ///
  /// - Throws: ``GenerationError`` if the prompt is empty, if it and `options.tokens` more do not
  ///   fit `capacity`, or if an option makes no sense.
  static func check(
    _ prompt: [Int], _ options: GenerationOptions, capacity: Int
  ) throws(GenerationError) {
    guard !prompt.isEmpty else {
      throw GenerationError("the prompt has no tokens; give at least one")
    }
    guard options.tokens >= 0 else {
      throw GenerationError("\(options.tokens) tokens to generate must be at least 0")
    }
    let room = capacity - prompt.count
    guard options.tokens <= room else {
      throw GenerationError(
        "a prompt of \(prompt.count) tokens and \(options.tokens) more do not fit the \(capacity) "
          + "positions of the model; "
          + (room > 0 ? "ask for at most \(room) tokens" : "shorten the prompt"))
    }
    try options.sampling.validate()
  }
}

/// What one step of several sequences runs.
struct Step {
  /// Indices into the sequences, with how many waiting ids of each are run.
  let parts: [(index: Int, count: Int)]

  /// The next token of every sequence that has its prompt behind it, and pieces of prompts, in the
  /// order of `active`, as long as those take no more than `prefill` ids together.
  ///
  /// A prompt is always cut at multiples of `prefill`, whatever else runs, so that its results do
  /// not depend on its company.
  init(_ active: [ActiveSequence], prefill: Int) {
    var budget = prefill
    parts = active.indices.compactMap { index in
      guard active[index].finish == nil else { return nil }
      guard !active[index].isPrefilled else { return (index, 1) }
      let count = min(prefill, active[index].waiting.count)
      guard count <= budget else { return nil }
      budget -= count
      return (index, count)
    }
  }
}
