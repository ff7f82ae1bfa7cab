public import HalftoneLayers
import HalftoneTensor

/// What to generate.
public struct GenerationOptions: Sendable, Equatable {
  /// The most tokens to add to the prompt.
  public var tokens: Int
  public var sampling: SamplingOptions
  /// Tokens that end the text and are not part of it; nil for those the model names.
  public var stop: Set<Int>?

  public init(tokens: Int, sampling: SamplingOptions = .greedy, stop: Set<Int>? = nil) {
    self.tokens = tokens
    self.sampling = sampling
    self.stop = stop
  }
}

/// What was generated, and how fast.
public struct Generation: Sendable {
  /// Why generation ended.
  public enum Finish: String, Sendable, Codable {
    case endOfText
    case tokenLimit
  }

  /// The new tokens, without the prompt and without the one that ended the text.
  public let ids: [Int]
  public let finish: Finish
  public let promptCount: Int
  /// Until the logits after the prompt were there.
  public let prefillSeconds: Double
  /// From then on.
  public let decodeSeconds: Double
  /// The tokens that were run through the model one at a time.
  public let decodedCount: Int
}

/// A model held in memory as floats, which continues token sequences.
public struct Generator: Sendable {
  private let model: any LanguageModel
  private let blocks: [any TransformerBlock]
  private let head: any OutputHead
  /// The most positions that prompt and new tokens may take together.
  public let capacity: Int
  /// Prompts run in pieces of this many tokens, which bounds the memory of the attention scores.
  private static let prefillLength = 512

  /// Reads all blocks of `model`; `capacity` is the most positions of one sequence, nil for the
  /// model's context length.
  ///
  /// - Throws: ``GenerationError`` if the capacity is not positive; what the model throws.
  public init(_ model: any LanguageModel, capacity: Int? = nil) throws {
    if let capacity, capacity < 1 {
      throw GenerationError("a capacity of \(capacity) positions must be at least 1")
    }
    self.model = model
    self.capacity = capacity ?? model.contextLength
    blocks = try (0..<model.blockCount).map { try model.block($0).densified() }
    head = try model.head()
  }

  /// Continues `prompt`; `onToken` is called with each new token as it is chosen and may throw to
  /// stop.
  ///
  /// - Throws: ``GenerationError`` if the prompt is empty, or if it and `options.tokens` more do not
  ///   fit the capacity; what `onToken` throws.
  public func generate(
    _ prompt: [Int], _ options: GenerationOptions, onToken: (Int) throws -> Void = { _ in }
  ) throws -> Generation {
    try check(prompt, options)
    let stop = options.stop ?? Set(model.endOfTextIds)
    var sampler = try Sampler(options.sampling)
    let clock = ContinuousClock()
    let start = clock.now
    // The last new token is not run through the model, so it needs no place.
    let cache = KeyValueCache(capacity: prompt.count + max(0, options.tokens - 1))
    var logits = try prefill(prompt, cache)
    let prefilled = clock.now
    var ids: [Int] = []
    var finish = Generation.Finish.tokenLimit
    while ids.count < options.tokens {
      let id = try sampler.next(logits)
      if stop.contains(id) {
        finish = .endOfText
        break
      }
      ids.append(id)
      try onToken(id)
      if ids.count < options.tokens { logits = try run([id], cache) }
    }
    return Generation(
      ids: ids, finish: finish, promptCount: prompt.count,
      prefillSeconds: start.duration(to: prefilled) / .seconds(1),
      decodeSeconds: prefilled.duration(to: clock.now) / .seconds(1),
      decodedCount: cache.count - prompt.count)
  }

  private func check(_ prompt: [Int], _ options: GenerationOptions) throws(GenerationError) {
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
  }

  private func prefill(_ prompt: [Int], _ cache: KeyValueCache) throws -> [Float] {
    var logits: [Float] = []
    for start in stride(from: 0, to: prompt.count, by: Self.prefillLength) {
      let end = min(start + Self.prefillLength, prompt.count)
      logits = try run(Array(prompt[start..<end]), cache)
    }
    return logits
  }

  /// Runs `ids` after what the cache holds; the logits after the last of them.
  private func run(_ ids: [Int], _ cache: KeyValueCache) throws -> [Float] {
    try cache.reserve(ids.count)
    var context = model.context(batch: 1, length: ids.count, start: cache.count)
    context.cache = cache
    var hidden = try model.embed(ids)
    for block in blocks { hidden = block(hidden, context) }
    return head(hidden.view(ids.count - 1..<ids.count)).values
  }
}
