import Dispatch
import Foundation
import Synchronization

/// Generates for many callers at once on a thread of its own.
///
/// Each step is one call of the engine with the next token of every sequence and pieces of the
/// prompts of new ones, so that requests come and go without waiting for each other. What a request
/// gets does not depend on the others.
public final class Scheduler: Sendable {
  private let core: SchedulerCore
  /// The most positions that a prompt and its new tokens may take together.
  public let capacity: Int
  public let options: SchedulerOptions

  /// Starts the thread, which goes on until ``stop()`` or until the scheduler is released.
  ///
  /// - Throws: ``GenerationError`` if an option makes no sense.
  public init(_ engine: Engine, _ options: SchedulerOptions = .init()) throws(GenerationError) {
    try options.validate(contextLength: engine.contextLength)
    self.options = options
    capacity = options.capacity ?? engine.contextLength
    core = SchedulerCore(engine, options)
    let thread = Thread { [core] in core.run() }
    thread.name = "halftone-scheduler"
    thread.stackSize = 8 << 20
    thread.start()
  }

  deinit { core.stop() }

  /// Takes a request; `timeLimit` counts from now and includes the time in the queue.
  ///
  /// - Throws: ``GenerationError`` if the prompt is empty or has ids outside the vocabulary, if it
  ///   and `options.tokens` more do not fit the capacity, or if an option makes no sense;
  ///   ``SchedulerError`` if the queue is full or the scheduler was stopped.
  public func submit(
    _ prompt: [Int], _ options: GenerationOptions, timeLimit: Duration? = nil
  ) throws -> ScheduledGeneration {
    try ActiveSequence.check(prompt, options, capacity: capacity)
    let vocabulary = core.engine.vocabularySize
    if let id = prompt.first(where: { !(0..<vocabulary).contains($0) }) {
      throw GenerationError("token \(id) of the prompt is not one of the model's \(vocabulary)")
    }
    let (events, continuation) = AsyncThrowingStream<ScheduledGeneration.Event, any Error>
      .makeStream()
    let job = SchedulerJob(prompt, options, timeLimit, continuation)
    continuation.onTermination = { [weak core, weak job] reason in
      guard case .cancelled = reason, let core, let job else { return }
      core.drop(job, .cancelled)
    }
    try core.enqueue(job)
    return ScheduledGeneration(events: events, job: job, core: core)
  }

  public var statistics: SchedulerStatistics { core.statistics }

  /// Ends all requests with ``SchedulerError/stopped`` after the step that runs now, and refuses new
  /// ones.
  public func stop() { core.stop() }
}

/// What the callers and the thread of a scheduler share.
final class SchedulerCore: Sendable {
  let engine: Engine
  private let options: SchedulerOptions
  private let capacity: Int
  private let wake = DispatchSemaphore(value: 0)
  private let shared = Mutex(Shared())

  private struct Shared {
    var queue: [SchedulerJob] = []
    var isStopped = false
    var statistics = SchedulerStatistics()
  }

  init(_ engine: Engine, _ options: SchedulerOptions) {
    self.engine = engine
    self.options = options
    capacity = options.capacity ?? engine.contextLength
  }

  var statistics: SchedulerStatistics {
    shared.withLock { shared in
      var statistics = shared.statistics
      statistics.queued = shared.queue.count
      return statistics
    }
  }

  func stop() {
    shared.withLock { $0.isStopped = true }
    wake.signal()
  }

  func enqueue(_ job: SchedulerJob) throws(SchedulerError) {
    try shared.withLock { shared throws(SchedulerError) in
      guard !shared.isStopped else { throw .stopped }
      // Requests that will find a free place at the next step do not wait.
      let free = options.parallel - shared.statistics.active
      guard shared.queue.count < options.queue + max(0, free) else {
        shared.statistics.rejected += 1
        throw .queueFull(shared.queue.count)
      }
      shared.queue.append(job)
    }
    wake.signal()
  }

  /// Takes a waiting request from the queue at once, and lets the thread drop a running one.
  func drop(_ job: SchedulerJob, _ reason: SchedulerJob.Drop) {
    guard job.drop(reason) else { return }
    let waited = shared.withLock { shared in
      guard let index = shared.queue.firstIndex(where: { $0 === job }) else { return false }
      shared.queue.remove(at: index)
      return true
    }
    if waited { end(job, CancellationError()) }
    wake.signal()
  }

  // MARK: - The thread

  /// A request that runs.
  private struct Running {
    let job: SchedulerJob
    var active: ActiveSequence
    var prefilled: ContinuousClock.Instant?
  }

  func run() {
    var running: [Running] = []
    while let admitted = admit(running.count) {
      for job in admitted { start(job, &running) }
      let now = ContinuousClock().now
      running.removeAll { entry in
        guard let reason = entry.job.reasonToEnd(at: now) else { return false }
        end(entry.job, reason)
        return true
      }
      if running.isEmpty {
        wait()
      } else {
        step(&running)
      }
      count(running.count)
    }
    for entry in running { end(entry.job, SchedulerError.stopped) }
    count(0)
  }

  private func count(_ active: Int) { shared.withLock { $0.statistics.active = active } }

  private func wait() {
    let isIdle = shared.withLock { $0.queue.isEmpty && !$0.isStopped }
    if isIdle {
      count(0)
      wake.wait()
    }
  }

  /// The waiting requests there is room for; nil after the end.
  private func admit(_ running: Int) -> [SchedulerJob]? {
    let now = ContinuousClock().now
    var ended: [(SchedulerJob, any Error)] = []
    let admitted: [SchedulerJob]? = shared.withLock { shared in
      shared.queue.removeAll { job in
        let reason = shared.isStopped ? SchedulerError.stopped : job.reasonToEnd(at: now)
        if let reason { ended.append((job, reason)) }
        return reason != nil
      }
      guard !shared.isStopped else { return nil }
      let count = min(options.parallel - running, shared.queue.count)
      defer { shared.queue.removeFirst(count) }
      shared.statistics.active = running + count
      return Array(shared.queue[..<count])
    }
    for (job, reason) in ended { end(job, reason) }
    return admitted
  }

  private func start(_ job: SchedulerJob, _ running: inout [Running]) {
    do {
      let active = try ActiveSequence(engine, job.prompt, job.options, capacity: capacity)
      running.append(Running(job: job, active: active))
    } catch {
      end(job, error)
    }
  }

  private func end(_ job: SchedulerJob, _ reason: any Error) {
    shared.withLock { shared in
      if job.isComplete {
        shared.statistics.completed += 1
      } else if reason is CancellationError {
        shared.statistics.cancelled += 1
      } else {
        shared.statistics.failed += 1
      }
    }
    job.continuation.finish(throwing: reason)
  }

  private func step(_ running: inout [Running]) {
    let clock = ContinuousClock()
    let start = clock.now
    let step = Step(running.map(\.active), prefill: options.prefill)
    let prompt = step.parts.reduce(0) {
      $0 + (running[$1.index].active.isPrefilled ? 0 : $1.count)
    }
    let results = logits(step, running.map(\.active))
    let now = clock.now
    shared.withLock { shared in
      shared.statistics.steps += 1
      shared.statistics.busySeconds += start.duration(to: now) / .seconds(1)
      shared.statistics.promptTokens += prompt
    }
    var ended = Set<Int>()
    for ((index, count), result) in zip(step.parts, results)
    where take(result, count, &running[index], now) { ended.insert(index) }
    running = running.indices.filter { !ended.contains($0) }.map { running[$0] }
  }

  /// The engine's results; where it refuses all together, each sequence is tried alone, so that only
  /// the one at fault ends.
  private func logits(_ step: Step, _ active: [ActiveSequence]) -> [Result<[Float], any Error>] {
    let inputs = step.parts.map {
      EngineInput(active[$0.index].sequence, active[$0.index].chunk($0.count))
    }
    let counts = inputs.map(\.sequence.count)
    do {
      return try engine.run(inputs).map { .success($0) }
    } catch {
      guard inputs.count > 1 else { return [.failure(error)] }
      return zip(inputs, counts).map { input, count in
        guard input.sequence.count == count else { return .failure(error) }
        return Result { try engine.run([input])[0] }
      }
    }
  }

  /// Hands the next token of a sequence to its caller; whether the sequence has ended.
  private func take(
    _ result: Result<[Float], any Error>, _ count: Int, _ entry: inout Running,
    _ now: ContinuousClock.Instant
  ) -> Bool {
    do {
      let id = try entry.active.accept(result.get(), after: count)
      if entry.prefilled == nil, entry.active.isPrefilled { entry.prefilled = now }
      if let id {
        shared.withLock { $0.statistics.generatedTokens += 1 }
        entry.job.continuation.yield(.token(id))
      }
    } catch {
      end(entry.job, error)
      return true
    }
    guard entry.active.finish != nil else { return false }
    let prefilled = entry.prefilled ?? now
    let generation = Generation(
      entry.active, prefill: entry.job.submitted.duration(to: prefilled),
      decode: prefilled.duration(to: now))
    shared.withLock { $0.statistics.completed += 1 }
    entry.job.continuation.yield(.finished(generation))
    entry.job.continuation.finish()
    return true
  }
}
