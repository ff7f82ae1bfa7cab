import Foundation
import Testing

/// A plain HTTP client on a loopback socket, which can also misbehave.
struct Client: Sendable {
  let port: Int

  struct Answer: Sendable {
    var status: Int
    var headers: [String: String]
    var body: Data

    var text: String { String(decoding: body, as: UTF8.self) }

    var json: [String: Any] {
      (try? JSONSerialization.jsonObject(with: body)) as? [String: Any] ?? [:]
    }

    /// The message, type and parameter of an error.
    var error: (message: String, type: String, parameter: String?)? {
      guard let error = json["error"] as? [String: Any] else { return nil }
      return (
        error["message"] as? String ?? "", error["type"] as? String ?? "",
        error["param"] as? String
      )
    }

    /// The documents of a stream of events; the last must be `[DONE]`, which is left out.
    var events: [[String: Any]] {
      let lines = text.components(separatedBy: "\n\n").filter { !$0.isEmpty }
      #expect(lines.last == "data: [DONE]")
      return lines.dropLast().compactMap { line in
        #expect(line.hasPrefix("data: "))
        return (try? JSONSerialization.jsonObject(with: Data(line.dropFirst(6).utf8)))
          as? [String: Any]
      }
    }
  }

  struct Failure: Error {}

  /// Sends one request on a connection of its own.
  func send(
    _ method: String, _ path: String, _ body: String? = nil, headers: [String: String] = [:]
  ) async throws -> Answer {
    var lines = ["\(method) \(path) HTTP/1.1", "Host: localhost", "Connection: close"]
    if let body {
      lines.append("Content-Length: \(body.utf8.count)")
      if headers["Content-Type"] == nil { lines.append("Content-Type: application/json") }
    }
    lines += headers.map { "\($0.key): \($0.value)" }
    return try await exchange(lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? ""))
  }

  func post(_ path: String, _ body: [String: Any]) async throws -> Answer {
    let data = try JSONSerialization.data(withJSONObject: body)
    return try await send("POST", path, String(decoding: data, as: UTF8.self))
  }

  /// Sends these bytes and reads all of the answer.
  func exchange(_ text: String) async throws -> Answer {
    try Self.parse(try await received(text, atMost: .max))
  }

  /// Sends these bytes and goes away after `count` bytes of the answer.
  func received(_ text: String, atMost count: Int) async throws -> Data {
    try await withCheckedThrowingContinuation { continuation in
      // Blocking calls must not take a thread of the server's tasks.
      Thread.detachNewThread {
        continuation.resume(with: Result { try Self.transfer(text, port, count) })
      }
    }
  }

  /// A connection that is open until it is released.
  final class Held: Sendable {
    fileprivate let descriptor: Int32

    fileprivate init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// What comes within `seconds` of silence, or until the server closes.
    func read(seconds: Int) -> String {
      var limit = timeval(tv_sec: seconds, tv_usec: 0)
      setsockopt(
        descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
      return String(decoding: Client.read(descriptor, .max), as: UTF8.self)
    }
  }

  /// Sends these bytes and keeps the connection open.
  func held(_ text: String) throws -> Held {
    let held = Held(try Self.connected(port))
    Self.write(text, held.descriptor)
    return held
  }

  private static func transfer(_ text: String, _ port: Int, _ limit: Int) throws -> Data {
    let descriptor = try connected(port)
    defer { close(descriptor) }
    write(text, descriptor)
    return read(descriptor, limit)
  }

  private static func connected(_ port: Int) throws -> Int32 {
    #if os(Linux)
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
    let descriptor = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard connected == 0 else {
      close(descriptor)
      throw Failure()
    }
    return descriptor
  }

  private static func write(_ text: String, _ descriptor: Int32) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let sent = rest.withUnsafeBytes { Foundation.send(descriptor, $0.baseAddress, $0.count, 0) }
      guard sent > 0 else { break }
      rest = rest.dropFirst(sent)
    }
  }

  private static func read(_ descriptor: Int32, _ limit: Int) -> Data {
    var data = Data()
    var buffer = [UInt8](repeating: 0, count: 65536)
    while data.count < limit {
      let count = recv(descriptor, &buffer, min(buffer.count, limit - data.count), 0)
      guard count > 0 else { break }
      data.append(contentsOf: buffer[..<count])
    }
    return data
  }

  private static func parse(_ data: Data) throws -> Answer {
    guard let end = data.range(of: Data("\r\n\r\n".utf8)) else { throw Failure() }
    let lines = String(decoding: data[..<end.lowerBound], as: UTF8.self)
      .components(separatedBy: "\r\n")
    let fields = lines.dropFirst().map { $0.components(separatedBy: ": ") }
    let headers = Dictionary(
      fields.map { ($0[0].lowercased(), $0.dropFirst().joined(separator: ": ")) },
      uniquingKeysWith: { $1 })
    let status = Int(lines[0].split(separator: " ")[1]) ?? 0
    var body = Data(data[end.upperBound...])
    if headers["transfer-encoding"] == "chunked" { body = unchunked(body) }
    return Answer(status: status, headers: headers, body: body)
  }

  private static func unchunked(_ data: Data) -> Data {
    var (rest, body) = (data, Data())
    while let line = rest.range(of: Data("\r\n".utf8)) {
      let size = Int(String(decoding: rest[..<line.lowerBound], as: UTF8.self), radix: 16) ?? 0
      guard size > 0, rest.distance(from: line.upperBound, to: rest.endIndex) >= size else { break }
      body += rest[line.upperBound..<line.upperBound + size]
      rest = Data(rest[(line.upperBound + size + 2)...])
    }
    return body
  }
}
