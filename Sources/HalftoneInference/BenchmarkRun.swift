import HalftoneTensor

/// What a benchmark runs.
public struct BenchmarkOptions: Sendable, Equatable {
  /// The tokens that are run at once into an empty cache.
  public var prompt: Int
  /// The tokens that are run one after the other, also from an empty cache.
  public var tokens: Int
  public var repetitions: Int
  /// The seed of the token ids.
  public var seed: UInt64

  public init(prompt: Int = 512, tokens: Int = 128, repetitions: Int = 5, seed: UInt64 = 0) {
    self.prompt = prompt
    self.tokens = tokens
    self.repetitions = repetitions
    self.seed = seed
  }
}

/// The rates of one repetition.
public struct BenchmarkRepetition: Sendable, Equatable, Codable {
  public let prefillTokensPerSecond: Double
  public let decodeTokensPerSecond: Double

  public init(prefillTokensPerSecond: Double, decodeTokensPerSecond: Double) {
    self.prefillTokensPerSecond = prefillTokensPerSecond
    self.decodeTokensPerSecond = decodeTokensPerSecond
  }

  private enum CodingKeys: String, CodingKey {
    case prefillTokensPerSecond = "prefill_tokens_per_second"
    case decodeTokensPerSecond = "decode_tokens_per_second"
  }
}

/// What was measured.
public struct BenchmarkResult: Sendable, Equatable {
  public let repetitions: [BenchmarkRepetition]

  public init(repetitions: [BenchmarkRepetition]) { self.repetitions = repetitions }

  /// The median of the repetitions; 0 if there are none.
  public var prefillTokensPerSecond: Double {
    Self.median(repetitions.map(\.prefillTokensPerSecond))
  }

  /// The median of the repetitions; 0 if there are none.
  public var decodeTokensPerSecond: Double {
    Self.median(repetitions.map(\.decodeTokensPerSecond))
  }

  private static func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted()
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
  }
}

/// Measures how fast an engine runs prompts and single tokens, without tokenizer and sampling.
///
/// The two tests are those of llama.cpp's llama-bench, so that the figures compare: a prompt of
/// random ids into an empty cache, and single random ids from an empty cache on.
public struct BenchmarkRun: Sendable {
  private let engine: Engine
  private let options: BenchmarkOptions
  private let ids: [Int]
  /// Longer prompts are run in pieces of so many ids.
  private static let pieceLength = 512

  /// - Throws: ``GenerationError`` if a count is not positive, or more than the model's context.
  public init(_ engine: Engine, _ options: BenchmarkOptions) throws(GenerationError) {
    guard options.repetitions >= 1 else {
      throw GenerationError("\(options.repetitions) repetitions must be at least 1")
    }
    for (what, count) in [("prompt", options.prompt), ("decoded", options.tokens)] {
      guard (1...engine.contextLength).contains(count) else {
        throw GenerationError(
          "\(count) \(what) tokens; the model has room for 1 to \(engine.contextLength)")
      }
    }
    self.engine = engine
    self.options = options
    var generator = SeededGenerator(seed: options.seed)
    ids = (0..<max(options.prompt, options.tokens)).map { _ in
      generator.below(engine.vocabularySize)
    }
  }

  /// Runs everything once to warm up and then as often as was asked for; `onRepetition` is called
  /// after each of those with their number so far.
  public func measure(onRepetition: (Int) -> Void = { _ in }) throws -> BenchmarkResult {
    _ = try repetition()
    return BenchmarkResult(
      repetitions: try (1...options.repetitions).map { number in
        defer { onRepetition(number) }
        return try repetition()
      })
  }

  private func repetition() throws -> BenchmarkRepetition {
    let prefill = try seconds(options.prompt, piece: Self.pieceLength)
    let decode = try seconds(options.tokens, piece: 1)
    return BenchmarkRepetition(
      prefillTokensPerSecond: Double(options.prompt) / max(prefill, 1e-9),
      decodeTokensPerSecond: Double(options.tokens) / max(decode, 1e-9))
  }

  /// The time of `count` ids from an empty cache, `piece` at once.
  private func seconds(_ count: Int, piece: Int) throws -> Double {
    let sequence = try engine.sequence(capacity: count)
    let clock = ContinuousClock()
    let start = clock.now
    for from in stride(from: 0, to: count, by: piece) {
      let piece = Array(ids[from..<min(from + piece, count)])
      _ = try engine.run([EngineInput(sequence, piece)])
    }
    return start.duration(to: clock.now) / .seconds(1)
  }
}
