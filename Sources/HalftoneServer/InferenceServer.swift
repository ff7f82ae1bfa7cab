public import HalftoneInference
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import UnixSignals

/// An HTTP server that generates with one model, in the forms of OpenAI's interface.
public final class InferenceServer: Sendable {
  private let options: ServerOptions
  private let scheduler: Scheduler
  private let services: ServiceGroup
  private let listening: Listening

  /// What to call once the server listens.
  private final class Listening: Sendable {
    let port = Mutex<Int?>(nil)
    let action = Mutex<(@Sendable (Int) -> Void)?>(nil)

    func begins(on port: Int) {
      self.port.withLock { $0 = port }
      action.withLock { $0 }?(port)
    }
  }

  /// A server for `model`, whose requests go through `scheduler`; it is stopped with the server.
  ///
  /// With `handlesSignals`, SIGTERM and SIGINT end the server as ``stop()`` does.
  public init(
    _ model: ServedModel, _ scheduler: Scheduler, _ options: ServerOptions,
    handlesSignals: Bool = false
  ) {
    self.options = options
    self.scheduler = scheduler
    let listening = Listening()
    self.listening = listening
    let logger = Self.logger(options.verbosity)
    let connections = OpenConnections(limit: max(1, options.connections))
    let application = Application(
      responder: APIResponder(model, scheduler, options, connections),
      server: .http1(
        configuration: .init(
          additionalChannelHandlers: [ConnectionWatch(connections)],
          idleTimeout: TimeAmount(options.idleTime))),
      configuration: ApplicationConfiguration(
        address: .hostname(options.host, port: options.port), serverName: "halftone",
        availableConnectionsDelegate: ConnectionLimit(connections: connections)),
      onServerRunning: { channel in listening.begins(on: channel.localAddress?.port ?? 0) },
      logger: logger)
    services = ServiceGroup(
      configuration: .init(
        services: [application, Grace(scheduler: scheduler, duration: options.grace)],
        gracefulShutdownSignals: handlesSignals ? [.sigterm, .sigint] : [], logger: logger))
  }

  private static func logger(_ verbosity: ServerOptions.Verbosity) -> Logger {
    var logger = Logger(label: "halftone")
    logger.logLevel =
      switch verbosity {
      case .quiet: .critical
      case .normal: .warning
      case .verbose: .debug
      }
    return logger
  }

  /// Serves until ``stop()``; `onListening` is called with the port once requests are taken.
  ///
  /// - Throws: ``ServerError`` if the address cannot be listened on.
  public func run(onListening: @escaping @Sendable (Int) -> Void = { _ in }) async throws {
    listening.action.withLock { $0 = onListening }
    defer { scheduler.stop() }
    do {
      try await services.run()
    } catch {
      guard listening.port.withLock({ $0 }) == nil else { throw error }
      throw ServerError(error, options.host, options.port)
    }
  }

  /// Takes no more connections; requests that run may go on for the time of grace.
  public func stop() async { await services.triggerGracefulShutdown() }
}

/// Ends the requests that still run some time after the server was told to stop.
private struct Grace: Service {
  let scheduler: Scheduler
  let duration: Duration

  func run() async throws {
    try? await gracefulShutdown()
    // Services are told in turn, each after the one before has returned: this one must not wait.
    Task { [scheduler, duration] in
      try? await Task.sleep(for: duration)
      scheduler.stop()
    }
  }
}
