import Hummingbird
import Logging
import NIOCore
import NIOHTTP1
import Synchronization

/// Closes a connection whose client has stopped listening, and tells who works for it.
///
/// A client that closes its side of a connection has gone: those that would still read the answer
/// are too rare to compute for the others.
final class ConnectionWatch: ChannelInboundHandler, RemovableChannelHandler, Sendable {
  typealias InboundIn = Any
  typealias InboundOut = Any

  private struct State {
    var isClosed = false
    var onClose: (@Sendable () -> Void)?
  }

  private let state = Mutex(State())
  private let connections: OpenConnections

  init(_ connections: OpenConnections) { self.connections = connections }

  func handlerAdded(context: ChannelHandlerContext) {
    connections.opened(context.channel)
    let pipeline = context.pipeline.syncOperations
    guard let encoder = try? pipeline.handler(type: HTTPResponseEncoder.self) else { return }
    try? pipeline.addHandler(DecoderRefusal(), position: .after(encoder))
  }

  func handlerRemoved(context: ChannelHandlerContext) { connections.closed(context.channel) }

  /// Calls `onClose` once when the client goes, at once if it has gone; replaces what was to be
  /// called before.
  func watch(_ onClose: (@Sendable () -> Void)?) {
    let isClosed = state.withLock { state in
      state.onClose = onClose
      return state.isClosed
    }
    if isClosed { onClose?() }
  }

  private func closed() {
    let onClose = state.withLock { state in
      defer { state = State(isClosed: true) }
      return state.onClose
    }
    onClose?()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if let event = event as? ChannelEvent, event == .inputClosed {
      closed()
      context.close(promise: nil)
    }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    closed()
    context.fireChannelInactive()
  }
}

/// What the server knows of a request beside the request itself.
struct ServerContext: InitializableFromSource, Sendable {
  let channel: any Channel
  let logger: Logger

  init(source: ApplicationRequestContextSource) {
    channel = source.channel
    logger = source.logger
  }

  /// The watch of the request's connection; nil if that is closed.
  func watch() async -> ConnectionWatch? {
    let channel = channel
    return try? await channel.eventLoop.submit {
      try channel.pipeline.syncOperations.handler(type: ConnectionWatch.self)
    }.get()
  }
}
