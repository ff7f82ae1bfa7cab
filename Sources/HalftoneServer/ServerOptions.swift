import Foundation
import NIOCore

/// How a server listens and what it allows.
public struct ServerOptions: Sendable {
  /// The address to listen on; anything but loopback is reachable from other machines.
  public var host = "127.0.0.1"
  /// The port to listen on; 0 for one that is free.
  public var port = 8080
  /// What clients must send as their bearer token; nil for no check.
  public var apiKey: String?
  /// The most bytes of a request's body.
  public var largestBody = 1 << 20
  /// How long a request may take, from its arrival to its last token.
  public var timeLimit = Duration.seconds(600)
  /// How long requests that run may go on after the server was told to stop.
  public var grace = Duration.seconds(30)
  /// How long a connection may stay open without a request.
  public var idleTime = Duration.seconds(60)
  /// The most connections at a time, at least 1; a further one takes the place of the one that has
  /// gone longest without a whole request, and waits in the system's backlog if all have one.
  public var connections = 1024
  /// How much is written to the log.
  public var verbosity = Verbosity.normal

  public enum Verbosity: Sendable {
    case quiet
    case normal
    case verbose
  }

  public init() {}

  /// Whether ``host`` is `localhost` or an address that other machines cannot reach.
  public var isLoopback: Bool {
    if host.lowercased() == "localhost" { return true }
    // A name such as 127.example.com may be any machine's.
    guard let address = try? SocketAddress(ipAddress: host, port: 0) else { return false }
    if case .v4(let address) = address {
      return UInt32(bigEndian: address.address.sin_addr.s_addr) >> 24 == 127
    }
    return address == (try? SocketAddress(ipAddress: "::1", port: 0))
  }
}
