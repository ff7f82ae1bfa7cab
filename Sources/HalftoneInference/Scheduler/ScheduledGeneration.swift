import Synchronization

/// A request that a scheduler has taken, and what comes of it.
public struct ScheduledGeneration: Sendable {
  public enum Event: Sendable {
    /// The next token.
    case token(Int)
    /// The end; nothing comes after it.
    case finished(Generation)
  }

  /// The tokens as they are chosen, then the end; throws what ended the request before, which is
  /// `CancellationError` after ``cancel()``.
  ///
  /// To stop listening, or to end the task that listens, cancels the request.
  public let events: AsyncThrowingStream<Event, any Error>
  let job: SchedulerJob
  let core: SchedulerCore

  /// Gives the request up: no more of it is computed after the step that runs now.
  public func cancel() { core.drop(job, .cancelled) }

  /// Ends the request as complete, for a caller that has all it wanted.
  ///
  /// Its events end as after ``cancel()``.
  public func complete() { core.drop(job, .complete) }
}

/// What a scheduler knows of a request.
final class SchedulerJob: Sendable {
  typealias Continuation = AsyncThrowingStream<ScheduledGeneration.Event, any Error>.Continuation

  let prompt: [Int]
  let options: GenerationOptions
  let continuation: Continuation
  let submitted = ContinuousClock().now
  let timeLimit: Duration?
  private let dropped = Mutex<Drop?>(nil)

  /// Why its caller wants no more of a request.
  enum Drop {
    case cancelled
    case complete
  }

  init(
    _ prompt: [Int], _ options: GenerationOptions, _ timeLimit: Duration?,
    _ continuation: Continuation
  ) {
    self.prompt = prompt
    self.options = options
    self.timeLimit = timeLimit
    self.continuation = continuation
  }

  /// Notes that its caller wants no more; false if that was known.
  func drop(_ reason: Drop) -> Bool {
    dropped.withLock { dropped in
      guard dropped == nil else { return false }
      dropped = reason
      return true
    }
  }

  var isComplete: Bool { dropped.withLock { $0 == .complete } }

  /// Why nothing more should be computed for it; nil to go on.
  func reasonToEnd(at now: ContinuousClock.Instant) -> (any Error)? {
    if dropped.withLock({ $0 != nil }) { return CancellationError() }
    if let timeLimit, now - submitted >= timeLimit { return SchedulerError.timedOut(timeLimit) }
    return nil
  }
}
