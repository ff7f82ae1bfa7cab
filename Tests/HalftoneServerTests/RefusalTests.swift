import Foundation
import HalftoneInference
import HalftoneServer
import Testing

@Suite struct RefusalTests {
  @Test func `pages, unknown addresses and wrong methods`() async throws {
    try await RunningServer.with { server in
      let health = try await server.client.send("GET", "/health")
      #expect(health.status == 200)
      #expect(health.json["status"] as? String == "ok")
      let models = try await server.client.send("GET", "/v1/models")
      let list = models.json["data"] as? [[String: Any]]
      #expect(list?.compactMap { $0["id"] as? String } == ["stories"])
      #expect(try await server.client.send("GET", "/v1/models/stories").status == 200)
      #expect(try await server.client.send("HEAD", "/health").body.isEmpty)
      for path in ["/", "/v1", "/v1/models/other", "/v1/completions/", "/v1/embeddings"] {
        let answer = try await server.client.send("GET", path)
        #expect(answer.status == 404)
        #expect(answer.error?.type == "invalid_request_error")
      }
      let wrong = try await server.client.send("GET", "/v1/completions")
      #expect(wrong.status == 405)
      #expect(wrong.headers["allow"] == "POST")
      #expect(try await server.client.send("POST", "/health", "{}").status == 405)
      #expect(try await server.client.send("DELETE", "/v1/models").status == 405)
    }
  }

  static let badMembers: [(path: String, body: String, parameter: String?)] = [
    ("completions", "{", nil), ("completions", "[]", nil), ("completions", "", nil),
    ("completions", "{\"prompt\": \"a\"} x", nil), ("completions", "\u{0}\u{1}", nil),
    ("completions", String(repeating: "[", count: 100_000), nil),
    ("completions", "{}", "prompt"),
    ("completions", #"{"prompt": 3}"#, "prompt"), ("completions", #"{"prompt": []}"#, "prompt"),
    ("completions", #"{"prompt": ["a", "b"]}"#, "prompt"),
    ("completions", #"{"prompt": [1, "a"]}"#, "prompt"),
    ("completions", #"{"prompt": [512]}"#, "prompt"),
    ("completions", #"{"prompt": [-1]}"#, "prompt"),
    ("completions", #"{"prompt": "a", "max_tokens": 0}"#, "max_tokens"),
    ("completions", #"{"prompt": "a", "max_tokens": 1.5}"#, "max_tokens"),
    ("completions", #"{"prompt": "a", "max_tokens": 512}"#, "prompt"),
    ("completions", #"{"prompt": "a", "max_tokens": 9223372036854775807}"#, "prompt"),
    ("completions", #"{"prompt": "a", "temperature": "hot"}"#, "temperature"),
    ("completions", #"{"prompt": "a", "temperature": -1}"#, "temperature"),
    ("completions", #"{"prompt": "a", "temperature": NaN}"#, "temperature"),
    ("completions", #"{"prompt": "a", "top_p": 2}"#, "top_p"),
    ("completions", #"{"prompt": "a", "top_k": -2}"#, "top_k"),
    ("completions", #"{"prompt": "a", "repetition_penalty": 0}"#, "repetition_penalty"),
    ("completions", #"{"prompt": "a", "min_p": -0.5}"#, "min_p"),
    ("completions", #"{"prompt": "a", "seed": -1}"#, "seed"),
    ("completions", #"{"prompt": "a", "seed": 0.5}"#, "seed"),
    ("completions", #"{"prompt": "a", "seed": 18446744073709551616}"#, "seed"),
    ("completions", #"{"prompt": "a", "n": 2}"#, "n"),
    ("completions", #"{"prompt": "a", "stream": 1}"#, "stream"),
    ("completions", #"{"prompt": "a", "stop": 1}"#, "stop"),
    ("completions", #"{"prompt": "a", "stop": ["a", ""]}"#, "stop"),
    ("completions", #"{"prompt": "a", "echo": true}"#, "echo"),
    ("completions", #"{"prompt": "a", "logprobs": 3}"#, "logprobs"),
    ("completions", #"{"prompt": "a", "frequency_penalty": 1}"#, "frequency_penalty"),
    ("chat/completions", "{}", "messages"),
    ("chat/completions", #"{"messages": []}"#, "messages"),
    ("chat/completions", #"{"messages": ["a"]}"#, "messages[0]"),
    ("chat/completions", #"{"messages": [{"role": "tool", "content": ""}]}"#, "messages[0]"),
    ("chat/completions", #"{"messages": [{"role": "user"}]}"#, "messages[0]"),
    ("chat/completions", #"{"messages": [{"role": "assistant", "content": ""}]}"#, "messages"),
    (
      "chat/completions",
      #"{"messages": [{"role": "user", "content": "a"}], "max_tokens": 512}"#, "messages"
    ),
    (
      "chat/completions",
      #"{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#, "messages[0]"
    ),
    (
      "chat/completions",
      #"{"messages": [{"role": "user", "content": "a"}], "tools": [{}]}"#, "tools"
    ),
  ]

  @Test func `requests that make no sense are refused, naming the member`() async throws {
    try await RunningServer.with { server in
      for (path, body, parameter) in Self.badMembers {
        let answer = try await server.client.send("POST", "/v1/\(path)", body)
        let place: Comment = "\(body.prefix(80))"
        #expect(answer.status == 400, place)
        #expect(answer.error?.type == "invalid_request_error", place)
        #expect(answer.error?.message.isEmpty == false, place)
        if let parameter { #expect(answer.error?.parameter == parameter, place) }
      }
      let other = try await server.client.post("/v1/completions", ["model": "x", "prompt": "a"])
      #expect(other.status == 404)
      #expect(other.error?.parameter == "model")
      let form = try await server.client.send(
        "POST", "/v1/completions", "{}", headers: ["Content-Type": "text/plain"])
      #expect(form.status == 415)
      let harmless = try await server.client.post(
        "/v1/completions",
        [
          "prompt": "a", "n": 1, "logprobs": NSNull(), "frequency_penalty": 0, "user": "me",
          "response_format": ["type": "text"],
        ])
      #expect(harmless.status == 200)
      for seed in ["0", "1e3", "9223372036854775808", "18446744073709551615", "null"] {
        let answer = try await server.client.send(
          "POST", "/v1/completions", "{\"prompt\": \"a\", \"seed\": \(seed)}")
        #expect(answer.status == 200, "\(seed)")
      }
    }
  }

  @Test func `bodies over the limit are refused before they are read`() async throws {
    try await RunningServer.with(configure: { $0.largestBody = 1000 }) { server in
      let body = "{\"prompt\": \"\(String(repeating: "a ", count: 1000))\"}"
      let stated = try await server.client.send("POST", "/v1/completions", body)
      #expect(stated.status == 413)
      let chunk = String(body.utf8.count, radix: 16)
      let chunked = try await server.client.exchange(
        "POST /v1/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
          + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
          + "\(chunk)\r\n\(body)\r\n0\r\n\r\n")
      #expect(chunked.status == 413)
      // The rest never comes, and the connection may be kept: only the server can end the exchange.
      let endless = try await server.client.exchange(
        "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
          + "Content-Length: 1000000000\r\n\r\n{")
      #expect(endless.status == 413)
      #expect(endless.headers["connection"] == "close")
      for text in [
        "nonsense\r\n\r\n", "GET /health HTTP/1.1\r\nA: \(String(repeating: "a", count: 90_000))",
      ] {
        let answer = try await server.client.exchange(text)
        #expect(answer.status == 400)
        #expect(answer.error?.type == "invalid_request_error")
        #expect(answer.headers["content-length"] == "\(answer.body.count)")
      }
      let broken = try await server.client.exchange(
        "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
          + "Transfer-Encoding: chunked\r\n\r\nZZ\r\n")
      #expect(broken.status == 400)
      #expect(broken.error?.type == "invalid_request_error")
      #expect(try await server.client.send("GET", "/health").status == 200)
    }
  }

  @Test func `the key is asked for everywhere but at health`() async throws {
    try await RunningServer.with(apiKey: "a long secret") { server in
      #expect(try await server.client.send("GET", "/health").status == 200)
      for key in [
        nil, "Bearer", "Bearer ", "Bearer a long secre", "Bearer a long secrets",
        "Basic a long secret", "Bearer a long Secret",
      ] {
        let headers = key.map { ["Authorization": $0] } ?? [:]
        for path in ["/v1/models", "/metrics", "/v1/nothing"] {
          let answer = try await server.client.send("GET", path, headers: headers)
          #expect(answer.status == 401)
          #expect(answer.headers["www-authenticate"] == "Bearer")
        }
      }
      for key in ["Bearer a long secret", "bearer a long secret"] {
        let answer = try await server.client.send(
          "GET", "/v1/models", headers: ["Authorization": key])
        #expect(answer.status == 200)
      }
    }
  }

  @Test func `a full queue, a time limit and a stopped scheduler have their statuses`()
    async throws
  {
    try await RunningServer.with(.init(parallel: 1, queue: 0), model: .slow) { server in
      var full = try await server.client.send("GET", "/health")
      // The one that runs may be over before the other arrives.
      for _ in 0..<20 where full.status != 429 {
        let busy = try server.scheduler.submit([1], .init(tokens: 511, stop: []))
        full = try await server.client.post("/v1/completions", ["prompt": "a"])
        busy.cancel()
        #expect(try await server.becomesIdle())
      }
      #expect(full.status == 429)
      #expect(full.headers["retry-after"] == "1")
      server.scheduler.stop()
      let stopped = try await server.client.post("/v1/completions", ["prompt": "a"])
      #expect(stopped.status == 503)
    }
    try await RunningServer.with(model: .slow, configure: { $0.timeLimit = .milliseconds(30) }) {
      server in
      let busy = try (0..<4).map { _ in
        try server.scheduler.submit([1], .init(tokens: 500, stop: []))
      }
      let late = try await server.client.post(
        "/v1/completions", ["prompt": "a", "max_tokens": 500, "temperature": 0])
      #expect(late.status == 504)
      #expect(late.error?.type == "server_error")
      for request in busy { request.cancel() }
    }
  }
}
