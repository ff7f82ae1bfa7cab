/// How much a scheduler does at once.
public struct SchedulerOptions: Sendable, Equatable {
  /// The most sequences that run together.
  public var parallel: Int
  /// The most requests that wait for a place.
  public var queue: Int
  /// The most positions of one sequence; nil for the model's context length.
  public var capacity: Int?
  /// The most prompt tokens that run in one step beside the next tokens of all sequences; fewer
  /// keep those flowing more evenly, more read prompts faster.
  public var prefill: Int

  public init(parallel: Int = 4, queue: Int = 64, capacity: Int? = nil, prefill: Int = 256) {
    self.parallel = parallel
    self.queue = queue
    self.capacity = capacity
    self.prefill = prefill
  }

  func validate(contextLength: Int) throws(GenerationError) {
    guard parallel >= 1, parallel <= 1024 else {
      throw GenerationError("\(parallel) parallel sequences must be 1 to 1024")
    }
    guard queue >= 0 else { throw GenerationError("a queue of \(queue) must be at least 0") }
    guard prefill >= 1 else {
      throw GenerationError("\(prefill) prompt tokens a step must be at least 1")
    }
    if let capacity, !(1...contextLength).contains(capacity) {
      throw GenerationError(
        "a capacity of \(capacity) positions; the model has room for 1 to \(contextLength)")
    }
  }
}

/// Why a scheduler did not take or complete a request.
public enum SchedulerError: Error, Equatable, CustomStringConvertible {
  /// As many requests wait as may.
  case queueFull(Int)
  /// The scheduler was told to stop.
  case stopped
  /// The request's time was over before it was complete.
  case timedOut(Duration)

  public var description: String {
    switch self {
    case .queueFull(let count): "\(count) requests wait already; try again later"
    case .stopped: "generation was shut down"
    case .timedOut(let limit): "not complete within \(limit / .seconds(1)) s"
    }
  }
}

/// What a scheduler has done since it was made.
public struct SchedulerStatistics: Sendable, Equatable {
  /// Sequences that run now.
  public internal(set) var active = 0
  /// Requests that wait now.
  public internal(set) var queued = 0
  /// Requests that came to their end.
  public internal(set) var completed = 0
  /// Requests that their callers gave up.
  public internal(set) var cancelled = 0
  /// Requests that ended with an error, those timed out among them.
  public internal(set) var failed = 0
  /// Requests refused because the queue was full.
  public internal(set) var rejected = 0
  /// Prompt tokens run.
  public internal(set) var promptTokens = 0
  /// Tokens generated.
  public internal(set) var generatedTokens = 0
  /// Calls of the engine.
  public internal(set) var steps = 0
  /// Time spent in them.
  public internal(set) var busySeconds = 0.0
}
