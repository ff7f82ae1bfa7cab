import Foundation
import HalftoneInference
import HalftoneServer
import Testing

@Suite struct ConnectionTests {
  static func request(_ members: String) -> String {
    let body = "{\"prompt\": \"Once upon a time\", \"temperature\": 0, \(members)}"
    return "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  @Test func `a client that goes away ends its generation`() async throws {
    try await RunningServer.with(.init(parallel: 2), model: .slow) { server in
      for members in ["\"max_tokens\": 500, \"stream\": true", "\"max_tokens\": 500"] {
        for count in [0, 1, 700] where count == 0 || members.contains("stream") {
          _ = try await server.client.received(Self.request(members), atMost: count)
          #expect(try await server.becomesIdle())
        }
      }
      #expect(server.scheduler.statistics.cancelled > 0)
      #expect(try await server.client.send("GET", "/health").status == 200)
    }
  }

  @Test func `half a request is no request`() async throws {
    try await RunningServer.with { server in
      let whole = Self.request("\"max_tokens\": 5")
      for share in [0.1, 0.5, 0.9] {
        let part = String(whole.prefix(Int(Double(whole.count) * share)))
        let task = Task { try await server.client.received(part, atMost: 0) }
        _ = try await task.value
      }
      #expect(try await server.becomesIdle())
      #expect(server.scheduler.statistics.promptTokens == 0)
      var page = ""
      // The one with a whole head is counted as a client that went.
      for _ in 0..<200 where !page.contains("code=\"499\"} 1") {
        page = try await server.client.send("GET", "/metrics").text
        try await Task.sleep(for: .milliseconds(5))
      }
      #expect(page.contains("{path=\"/v1/completions\",code=\"499\"} 1"))
      #expect(!page.contains("code=\"400\"") && !page.contains("code=\"500\""))
    }
  }

  @Test func `one connection serves several requests`() async throws {
    try await RunningServer.with { server in
      let last = Self.request("\"max_tokens\": 5")
        .replacingOccurrences(of: "Host: a", with: "Host: a\r\nConnection: close")
      let requests = Self.request("\"max_tokens\": 3") + Self.request("\"stream\": true") + last
      let data = try await server.client.received(requests, atMost: .max)
      let text = String(decoding: data, as: UTF8.self)
      #expect(text.components(separatedBy: "HTTP/1.1 200 OK").count == 4)
      #expect(server.scheduler.statistics.completed == 3)
    }
  }

  @Test func `metrics count what happened`() async throws {
    try await RunningServer.with { server in
      _ = try await server.client.post("/v1/completions", ["prompt": [1, 403], "max_tokens": 7])
      _ = try await server.client.post("/v1/completions", ["prompt": 3])
      _ = try await server.client.send("GET", "/nowhere")
      let page = try await server.client.send("GET", "/metrics")
      #expect(page.status == 200)
      let lines = page.text.split(separator: "\n").map(String.init)
      for line in [
        "halftone_requests_total{path=\"/v1/completions\",code=\"200\"} 1",
        "halftone_requests_total{path=\"/v1/completions\",code=\"400\"} 1",
        "halftone_requests_total{path=\"other\",code=\"404\"} 1",
        "halftone_prompt_tokens_total 2", "halftone_generations_completed_total 1",
        "halftone_request_seconds_count 3", "halftone_first_token_seconds_count 1",
        "halftone_queued_requests 0",
      ] { #expect(lines.contains(line), "\(line)") }
      // Every line is a comment or a name with a number.
      for line in lines where !line.hasPrefix("# TYPE ") {
        #expect(Double(line.split(separator: " ").last ?? "") != nil, "\(line)")
      }
    }
  }

  @Test func `what runs may end in the time of grace`() async throws {
    try await RunningServer.with { server in
      let stream = Task {
        try await server.client.post(
          "/v1/completions",
          ["prompt": "Once", "max_tokens": 300, "temperature": 0, "stream": true])
      }
      try await server.becomesBusy()
      await server.server.stop()
      let events = try await stream.value.events
      let expected = try server.generator.generate("Once", .init(tokens: 300))
      #expect(events.compactMap(CompletionTests.text).joined() == expected.text)
      var refused = false
      for _ in 0..<1000 where !refused {
        do {
          _ = try await server.client.send("GET", "/health")
          try await Task.sleep(for: .milliseconds(2))
        } catch is Client.Failure { refused = true }
      }
      #expect(refused)
    }
  }

  @Test func `after the time of grace streams end with an error`() async throws {
    // Many streams, so that they cannot end before the server does.
    let count = 16
    try await RunningServer.with(
      .init(parallel: count), model: .slow, configure: { $0.grace = .zero }
    ) { server in
      let streams = (0..<count).map { _ in
        Task {
          try await server.client.post(
            "/v1/completions",
            ["prompt": "Once", "max_tokens": 500, "temperature": 0, "stream": true])
        }
      }
      for _ in 0..<50 where server.scheduler.statistics.active < count {
        try await Task.sleep(for: .milliseconds(1))
      }
      await server.server.stop()
      var interrupted = 0
      for stream in streams {
        guard let text = try? await stream.value.text, text.contains("shutting down") else {
          continue
        }
        interrupted += 1
        #expect(!text.contains("[DONE]"))
      }
      #expect(interrupted > 0)
    }
  }
}
