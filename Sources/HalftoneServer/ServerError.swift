import Foundation
import NIOCore

/// A server could not start.
public struct ServerError: Error, Equatable, CustomStringConvertible {
  public enum Code: Sendable {
    /// The host has no address, or one that is not this machine's.
    case wrongHost
    /// The system does not let the server listen, such as where the port is in use.
    case cannotListen
  }

  public let code: Code
  public let description: String

  /// What it means that listening on `host` and `port` failed by `error`.
  init(_ error: any Error, _ host: String, _ port: Int) {
    let reason: String
    switch error {
    case is SocketAddressError.UnknownHost, is SocketAddressError:
      (code, reason) = (.wrongHost, "the host has no known address")
    case let error as IOError where error.errnoCode == EADDRNOTAVAIL:
      (code, reason) = (.wrongHost, "the address is not one of this machine")
    case let error as IOError where error.errnoCode == EADDRINUSE:
      (code, reason) = (.cannotListen, "the port is in use; choose another, or 0 for a free one")
    case let error as IOError where error.errnoCode == EACCES:
      (code, reason) = (.cannotListen, "the port needs more rights; choose one from 1024 on")
    case let error as IOError:
      (code, reason) = (.cannotListen, String(cString: strerror(error.errnoCode)))
    default: (code, reason) = (.cannotListen, "\(error)")
    }
    description = "cannot listen on \(host), port \(port): \(reason)"
  }
}
