import HalftoneServer
import Testing

/// Where a server listens, and why it cannot.
@Suite struct StartTests {
  @Test(arguments: [
    ("127.0.0.1", true), ("127.9.8.7", true), ("::1", true), ("localhost", true),
    ("127.example.com", false), ("0.0.0.0", false), ("::", false), ("192.0.2.1", false),
  ])
  func `loopback is told by the address`(_ host: String, _ expected: Bool) {
    var options = ServerOptions()
    options.host = host
    #expect(options.isLoopback == expected)
  }

  @Test func `a server that cannot start says why in plain words`() async throws {
    for (host, reason) in [
      ("no such host", "the host has no known address"),
      ("192.0.2.1", "the address is not one of this machine"),
    ] {
      let error = await #expect(throws: ServerError.self) {
        try await RunningServer.with(configure: { $0.host = host }) { _ in }
      }
      #expect(error?.code == .wrongHost)
      #expect(error?.description == "cannot listen on \(host), port 0: \(reason)")
    }
    try await RunningServer.with { server in
      let port = server.client.port
      let error = await #expect(throws: ServerError.self) {
        try await RunningServer.with(configure: { $0.port = port }) { _ in }
      }
      #expect(error?.code == .cannotListen)
      #expect(
        error?.description.hasSuffix("the port is in use; choose another, or 0 for a free one")
          == true)
    }
  }
}
