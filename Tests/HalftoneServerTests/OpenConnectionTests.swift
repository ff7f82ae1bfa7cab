import Foundation
import HalftoneInference
import HalftoneServer
import Testing

/// Who keeps a place where there are more connections than the server takes.
@Suite struct OpenConnectionTests {
  @Test func `requests that have not arrived keep nobody out`() async throws {
    try await RunningServer.with(configure: { $0.connections = 16 }) { server in
      let half =
        "POST /v1/completions HTTP/1.1\r\nHost: a\r\n"
        + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
      var held: [Client.Held] = []
      for begin in ["", "GET /hea", half] {
        for _ in 0..<40 { held.append(try server.client.held(begin)) }
        #expect(try await server.client.send("GET", "/health").status == 200)
        let answer = try await server.client.post(
          "/v1/completions", ["prompt": "a", "max_tokens": 5])
        #expect(answer.status == 200)
      }
      // The oldest of them were closed, without an answer; the latest are still open.
      #expect(held[0].read(seconds: 5).isEmpty)
      held.removeAll()
    }
  }

  @Test func `requests that are served keep their places`() async throws {
    try await RunningServer.with(model: .slow, configure: { $0.connections = 2 }) { server in
      let long = ConnectionTests.request("\"max_tokens\": 400, \"stream\": true")
      let held = try [server.client.held(long), server.client.held(long)]
      try await server.becomesBusy()
      for _ in 0..<100 where server.scheduler.statistics.active < 2 {
        try await Task.sleep(for: .milliseconds(1))
      }
      // At the latest when one of the two has its answer, although neither client closes.
      #expect(try await server.client.send("GET", "/health").status == 200)
      for connection in held {
        #expect(connection.read(seconds: 6).contains("data: [DONE]"))
      }
      #expect(try await server.becomesIdle())
    }
  }

  @Test func `a client that is gone before its work begins has none done`() async throws {
    try await RunningServer.with(.init(parallel: 2), model: .slow) { server in
      for _ in 0..<60 { _ = try server.client.held(ConnectionTests.request("\"max_tokens\": 400")) }
      #expect(try await server.becomesIdle())
      let answer = try await server.client.post(
        "/v1/completions", ["prompt": "a", "max_tokens": 5])
      #expect(answer.status == 200)
      #expect(server.scheduler.statistics.completed == 1)
    }
  }
}
