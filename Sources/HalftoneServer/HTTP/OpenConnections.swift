import HummingbirdCore
import NIOCore
import Synchronization

/// The connections of a server; those that wait for their client give way to new ones.
///
/// A connection without a whole request costs its client nothing, so it must not keep others out:
/// where there is no room, the one that has waited longest is closed.
final class OpenConnections: Sendable {
  fileprivate enum Phase {
    /// Nothing of a request is known to the responder, or it was answered.
    case idle
    /// A part of a request is there.
    case arriving
    /// A whole request is there.
    case working
  }

  fileprivate struct Connection {
    let channel: any Channel
    var phase = Phase.idle
    /// Orders the connections by when they were opened or last answered.
    var since: Int
  }

  fileprivate struct State {
    var connections: [ObjectIdentifier: Connection] = [:]
    var clock = 0
    /// Whether new connections wait in the backlog; they do until one is closed.
    var isHeld = false
  }

  private let state = Mutex(State())
  private let limit: Int

  /// - Parameter limit: the most connections, at least 1.
  init(limit: Int) { self.limit = limit }

  /// Whether one more can be taken, if need be in another's place.
  func acceptsMore() -> Bool {
    state.withLock { state in
      let accepts =
        state.connections.count < limit
        || state.connections.values.contains { $0.phase != .working }
      state.isHeld = !accepts
      return accepts
    }
  }

  func opened(_ channel: any Channel) {
    let excess = state.withLock { state in
      state.clock += 1
      state.connections[ObjectIdentifier(channel)] = Connection(
        channel: channel, since: state.clock)
      return state.connections.count > limit ? state.removeOldest() : nil
    }
    excess.map(Self.close)
  }

  func closed(_ channel: any Channel) {
    state.withLock { $0.connections[ObjectIdentifier(channel)] = nil }
  }

  /// A request has begun to arrive.
  func arrives(_ channel: any Channel) {
    state.withLock { $0.connections[ObjectIdentifier(channel)]?.phase = .arriving }
  }

  /// All of the request is there: the connection keeps its place until ``rests(_:)``.
  func works(_ channel: any Channel) {
    state.withLock { $0.connections[ObjectIdentifier(channel)]?.phase = .working }
  }

  /// The request has its answer, of which a part may still have to be written.
  func rests(_ channel: any Channel) {
    let excess = state.withLock { state -> Connection? in
      state.clock += 1
      state.connections[ObjectIdentifier(channel)]?.phase = .idle
      state.connections[ObjectIdentifier(channel)]?.since = state.clock
      // Only a connection that closes makes the server look at its backlog again.
      guard state.isHeld else { return nil }
      state.isHeld = false
      return state.removeOldest()
    }
    excess.map(Self.close)
  }

  private static func close(_ connection: Connection) {
    switch connection.phase {
    case .idle:
      // Closes after the answer, should some of it not be written yet.
      connection.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    case .arriving, .working: connection.channel.close(promise: nil)
    }
  }
}

extension OpenConnections.State {
  /// Takes out the one that has waited longest for its client; nil if all work.
  fileprivate mutating func removeOldest() -> OpenConnections.Connection? {
    let waiting = connections.filter { $0.value.phase != .working }
    guard let oldest = waiting.min(by: { $0.value.since < $1.value.since }) else { return nil }
    connections[oldest.key] = nil
    return oldest.value
  }
}

/// Holds new connections back while every open one works.
struct ConnectionLimit: AvailableConnectionsDelegate {
  let connections: OpenConnections

  func connectionOpened() {}
  func connectionClosed() {}
  func isAcceptingNewConnections() -> Bool { connections.acceptsMore() }
}
