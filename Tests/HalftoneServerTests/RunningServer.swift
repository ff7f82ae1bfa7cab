import HalftoneInference
import HalftonePipeline
import HalftoneServer
import HalftoneTestSupport
import HalftoneTokenizers

/// A server on a free port of the loopback address, over one of the two small models.
struct RunningServer: Sendable {
  let client: Client
  let scheduler: Scheduler
  let server: InferenceServer
  let generator: TextGenerator

  enum Model: String {
    /// Generates five hundred tokens in a tenth of a second.
    case quick = "stories260k"
    /// Takes ten times as long.
    case slow = "books-7m"

    static let opened = [quick: Result { try quick.open() }, slow: Result { try slow.open() }]

    private func open() throws -> (engine: Engine, tokenizer: any Tokenizer) {
      let opened = try OpenedModel(path: Repository.path("Resources/models/\(rawValue)"))
      return (try Engine(opened.model), try opened.tokenizer())
    }
  }

  /// Runs `body` with a server and stops it afterwards.
  static func with(
    _ schedule: SchedulerOptions = .init(), model: Model = .quick, apiKey: String? = nil,
    configure: (inout ServerOptions) -> Void = { _ in },
    _ body: @Sendable @escaping (RunningServer) async throws -> Void
  ) async throws {
    guard let (engine, tokenizer) = try Model.opened[model]?.get() else { return }
    let scheduler = try Scheduler(engine, schedule)
    var options = ServerOptions()
    options.port = 0
    options.apiKey = apiKey
    options.verbosity = .quiet
    configure(&options)
    let served = ServedModel(
      name: "stories", tokenizer: tokenizer, template: .mistralV1,
      endOfTextIds: engine.endOfTextIds)
    let server = InferenceServer(served, scheduler, options)
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

  /// Waits until a sequence runs.
  func becomesBusy() async throws {
    while scheduler.statistics.generatedTokens < 5 { try await Task.sleep(for: .milliseconds(1)) }
  }
}
