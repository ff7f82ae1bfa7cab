import HalftoneInference
import HalftonePipeline
import HalftoneServer
import HalftoneTestSupport
import HalftoneTokenizers

/// A server on a free port of the loopback address, over the smallest model.
struct RunningServer: Sendable {
  let client: Client
  let scheduler: Scheduler
  let server: InferenceServer
  let generator: TextGenerator

  private static let opened = Result {
    let opened = try OpenedModel(path: Repository.path("Resources/models/stories260k"))
    return (engine: try Engine(opened.model), tokenizer: try opened.tokenizer())
  }

  /// Runs `body` with a server and stops it afterwards.
  static func with(
    _ schedule: SchedulerOptions = .init(), apiKey: String? = nil,
    configure: (inout ServerOptions) -> Void = { _ in },
    _ body: @Sendable @escaping (RunningServer) async throws -> Void
  ) async throws {
    let (engine, tokenizer) = try opened.get()
    let scheduler = try Scheduler(engine, schedule)
    var options = ServerOptions()
    options.port = 0
    options.apiKey = apiKey
    options.verbosity = .quiet
    configure(&options)
    let model = ServedModel(
      name: "stories", tokenizer: tokenizer, template: .mistralV1,
      endOfTextIds: engine.endOfTextIds)
    let server = InferenceServer(model, scheduler, options)
    let (ports, continuation) = AsyncStream<Int>.makeStream()
    let generator = try TextGenerator(Generator(engine), tokenizer: tokenizer)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        defer { continuation.finish() }
        try await server.run { continuation.yield($0) }
      }
      for await port in ports {
        let running = RunningServer(
          client: Client(port: port), scheduler: scheduler, server: server, generator: generator)
        do { try await body(running) } catch {
          await server.stop()
          throw error
        }
        break
      }
      await server.stop()
      try await group.waitForAll()
    }
  }

  /// Waits until no sequence runs or waits; false if that takes too long.
  func becomesIdle() async throws -> Bool {
    for _ in 0..<1000 {
      let statistics = scheduler.statistics
      if statistics.active == 0, statistics.queued == 0 { return true }
      try await Task.sleep(for: .milliseconds(5))
    }
    return false
  }
}
