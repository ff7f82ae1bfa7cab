import HalftoneInference
import HalftonePipeline
import HalftoneTensor
import HalftoneTestSupport
import Testing

@Suite struct SchedulerTests {
  let engine: Engine

  init() throws {
    let path = Repository.path("Resources/models/stories260k")
    engine = try Engine(OpenedModel(path: path).model)
  }

  /// Prompts of many lengths, and options from greedy to random.
  static func requests(_ count: Int) -> [(prompt: [Int], options: GenerationOptions)] {
    var random = SeededGenerator(seed: 4)
    return (0..<count).map { index in
      let length = [1, 2, 5, 30, 130, 300][index % 6] + random.below(3)
      let prompt = [1] + (0..<length).map { _ in 3 + random.below(500) }
      let sampling = SamplingOptions(
        temperature: index % 3 == 2 ? 0.9 : 0, topP: 0.9, repetitionPenalty: 1.05,
        seed: UInt64(index))
      return (prompt, GenerationOptions(tokens: 5 + random.below(60), sampling: sampling))
    }
  }

  static func collect(_ generation: ScheduledGeneration) async throws -> ([Int], Generation?) {
    var ids: [Int] = []
    var end: Generation?
    for try await event in generation.events {
      switch event {
      case .token(let id): ids.append(id)
      case .finished(let generation): end = generation
      }
    }
    return (ids, end)
  }

  @Test(arguments: [1, 3, 8]) func `company does not change what a request gets`(
    _ parallel: Int
  ) async throws {
    let generator = try Generator(engine)
    let scheduler = try Scheduler(engine, .init(parallel: parallel, prefill: 64))
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (prompt, options) in Self.requests(24) {
        let scheduled = try scheduler.submit(prompt, options)
        group.addTask {
          let (ids, end) = try await Self.collect(scheduled)
          let alone = try generator.generate(prompt, options)
          #expect(ids == alone.ids)
          #expect(end?.ids == alone.ids)
          #expect(end?.finish == alone.finish)
          #expect(end?.promptCount == prompt.count)
        }
      }
      try await group.waitForAll()
    }
    let statistics = scheduler.statistics
    #expect(statistics.completed == 24)
    #expect(statistics.promptTokens == Self.requests(24).reduce(0) { $0 + $1.prompt.count })
    #expect(statistics.queued == 0)
  }

  /// Twenty-five pieces of a prompt in steps that also run the other's sixty tokens; 85 where one
  /// waits for the other, and where a busy machine let one end before the second came.
  @Test func `a long prompt does not hold up the others`() async throws {
    for attempt in 1... {
      let scheduler = try Scheduler(engine, .init(parallel: 2, prefill: 16))
      let short = try scheduler.submit([1, 403], GenerationOptions(tokens: 60, stop: []))
      let long = try scheduler.submit(
        [Int](repeating: 300, count: 400), .init(tokens: 5, stop: []))
      #expect(try await Self.collect(short).0.count == 60)
      #expect(try await Self.collect(long).0.count == 5)
      if scheduler.statistics.steps < 75 { return }
      try #require(attempt < 20)
    }
  }

  /// Fills the only place and the queue; nil if the running request ended before the queue was
  /// full, as it may on a busy machine.
  private func filled(
    _ scheduler: Scheduler
  ) async throws -> (running: ScheduledGeneration, waiting: ScheduledGeneration)? {
    let running = try scheduler.submit([1], .init(tokens: 500, stop: []))
    for try await _ in running.events.prefix(1) {}
    let waiting = try scheduler.submit([1], .init(tokens: 500, stop: []))
    do {
      try scheduler.submit([1], .init(tokens: 1)).cancel()
    } catch SchedulerError.queueFull(1) {
      return (running, waiting)
    }
    running.cancel()
    waiting.cancel()
    return nil
  }

  @Test func `a request given up frees its place at once`() async throws {
    let path = Repository.path("Resources/models/books-7m")
    let engine = try Engine(OpenedModel(path: path).model)
    for attempt in 1... {
      let scheduler = try Scheduler(engine, .init(parallel: 1, queue: 1))
      guard let (running, waiting) = try await filled(scheduler) else {
        try #require(attempt < 20)
        continue
      }
      waiting.cancel()
      await #expect(throws: CancellationError.self) { try await Self.collect(waiting) }
      let next = try scheduler.submit([1, 403], .init(tokens: 3, stop: []))
      running.cancel()
      #expect(try await Self.collect(next).0.count == 3)
      let statistics = scheduler.statistics
      #expect(statistics.cancelled == 2)
      #expect(statistics.rejected == 1)
      #expect(statistics.completed == 1)
      #expect(statistics.generatedTokens < 503)
      return
    }
  }

  @Test func `the end of the listening task ends the request`() async throws {
    let scheduler = try Scheduler(engine, .init(parallel: 1, queue: 0))
    let scheduled = try scheduler.submit([1], .init(tokens: 500, stop: []))
    let task = Task { try await Self.collect(scheduled) }
    task.cancel()
    _ = await task.result
    let next = try await untilTaken(scheduler, [1, 403], .init(tokens: 3, stop: []))
    #expect(try await Self.collect(next).0.count == 3)
  }

  /// Submits again while the queue is full.
  private func untilTaken(
    _ scheduler: Scheduler, _ prompt: [Int], _ options: GenerationOptions
  ) async throws -> ScheduledGeneration {
    for _ in 0..<1000 {
      do { return try scheduler.submit(prompt, options) } catch is SchedulerError {
        try await Task.sleep(for: .milliseconds(2))
      }
    }
    return try scheduler.submit(prompt, options)
  }

  @Test func `a request's errors are its own`() async throws {
    let scheduler = try Scheduler(engine, .init(parallel: 4, capacity: 100))
    let good = try scheduler.submit([1, 403], .init(tokens: 40, stop: []))
    for (prompt, options): ([Int], GenerationOptions) in [
      ([], .init(tokens: 1)), ([512], .init(tokens: 1)), ([-1], .init(tokens: 1)),
      ([1], .init(tokens: 100)), ([1], .init(tokens: -1)),
      ([1], .init(tokens: 1, sampling: .init(temperature: -1))),
    ] {
      #expect(throws: GenerationError.self) { try scheduler.submit(prompt, options) }
    }
    let late = try scheduler.submit([1], .init(tokens: 99, stop: []), timeLimit: .zero)
    await #expect(throws: SchedulerError.timedOut(.zero)) { try await Self.collect(late) }
    #expect(try await Self.collect(good).0.count == 40)
    #expect(scheduler.statistics.failed == 1)
    #expect(throws: GenerationError.self) { try Scheduler(engine, .init(parallel: 0)) }
    #expect(throws: GenerationError.self) { try Scheduler(engine, .init(capacity: 513)) }
  }

  @Test func `after a stop all requests end and none is taken`() async throws {
    let scheduler = try Scheduler(engine, .init(parallel: 1))
    let scheduled = try (0..<3).map { _ in
      try scheduler.submit([1], .init(tokens: 511, stop: []))
    }
    scheduler.stop()
    for request in scheduled {
      await #expect(throws: SchedulerError.stopped) { try await Self.collect(request) }
    }
    #expect(throws: SchedulerError.stopped) { try scheduler.submit([1], .init(tokens: 1)) }
    #expect(scheduler.statistics.queued == 0)
  }

  @Test func `a request of no tokens ends after its prompt`() async throws {
    let scheduler = try Scheduler(engine)
    let (ids, end) = try await Self.collect(scheduler.submit([1, 403], .init(tokens: 0)))
    #expect(ids.isEmpty)
    #expect(end?.finish == .tokenLimit)
  }
}
