import Foundation
import HalftoneInference
import HalftoneServer
import HalftoneTokenizers
import Testing

@Suite struct CompletionTests {
  /// The text of the first choice.
  static func text(_ document: [String: Any]) -> String? {
    let choice = (document["choices"] as? [[String: Any]])?.first
    let delta = choice?["delta"] ?? choice?["message"]
    return choice?["text"] as? String ?? (delta as? [String: Any])?["content"] as? String
  }

  static func finish(_ document: [String: Any]) -> String? {
    (document["choices"] as? [[String: Any]])?.first?["finish_reason"] as? String
  }

  static func usage(_ document: [String: Any]) -> [Int]? {
    let usage = document["usage"] as? [String: Any]
    return usage.map { usage in
      ["prompt_tokens", "completion_tokens", "total_tokens"].map { usage[$0] as? Int ?? -1 }
    }
  }

  @Test func `a completion is the generator's text`() async throws {
    try await RunningServer.with { server in
      let expected = try server.generator.generate("Once upon a time", .init(tokens: 40))
      let ids = server.generator.tokenizer.encode("Once upon a time")
      for prompt: Any in ["Once upon a time", ["Once upon a time"], ids, [ids]] {
        let answer = try await server.client.post(
          "/v1/completions",
          ["model": "stories", "prompt": prompt, "max_tokens": 40, "temperature": 0])
        #expect(answer.status == 200)
        #expect(answer.headers["content-type"] == "application/json")
        #expect(answer.json["object"] as? String == "text_completion")
        #expect(Self.text(answer.json) == expected.text)
        #expect(Self.finish(answer.json) == "length")
        #expect(Self.usage(answer.json) == [ids.count, 40, ids.count + 40])
      }
    }
  }

  @Test func `a stream has the same text in pieces`() async throws {
    try await RunningServer.with { server in
      for (path, prompt): (String, [String: Any]) in [
        ("/v1/completions", ["prompt": "Once upon a time"]),
        (
          "/v1/chat/completions",
          ["messages": [["role": "user", "content": "Once upon a time"]]]
        ),
      ] {
        var request = prompt
        request["temperature"] = 0
        request["max_completion_tokens"] = 50
        let whole = try await server.client.post(path, request)
        request["stream"] = true
        request["stream_options"] = ["include_usage": true]
        let answer = try await server.client.post(path, request)
        #expect(answer.status == 200)
        #expect(answer.headers["content-type"] == "text/event-stream")
        let events = answer.events
        #expect(events.compactMap(Self.text).joined() == Self.text(whole.json))
        #expect(events.compactMap(Self.finish) == ["length"])
        #expect(events.count > 10)
        #expect(events.last.flatMap(Self.usage) == Self.usage(whole.json))
        #expect(Set(events.compactMap { $0["id"] as? String }).count == 1)
      }
    }
  }

  @Test func `a chat is the template's text continued`() async throws {
    try await RunningServer.with { server in
      let messages = [
        ["role": "developer", "content": "Be brief."], ["role": "user", "content": "Once"],
      ]
      let answer = try await server.client.post(
        "/v1/chat/completions", ["messages": messages, "temperature": 0, "max_tokens": 20])
      let tokenizer = server.generator.tokenizer
      let ids = try ChatTemplate.mistralV1.encode(
        [.init(.system, "Be brief."), .init(.user, "Once")], tokenizer)
      let expected = try server.generator.generate(tokens: [ids], .init(tokens: 20))[0]
      #expect(Self.text(answer.json) == expected.text)
      #expect(Self.usage(answer.json)?.first == ids.count)
      #expect(answer.json["object"] as? String == "chat.completion")
      let parts = [["role": "user", "content": [["type": "text", "text": "Once"]]]]
      let plain = [["role": "user", "content": "Once"]]
      let (first, second) = (
        try await server.client.post(
          "/v1/chat/completions", ["messages": parts, "temperature": 0]),
        try await server.client.post(
          "/v1/chat/completions", ["messages": plain, "temperature": 0])
      )
      #expect(Self.text(first.json) == Self.text(second.json))
    }
  }

  @Test func `stop strings end the text, and sampling follows its seed`() async throws {
    try await RunningServer.with { server in
      let expected = try server.generator.generate(
        "Once upon a time", .init(tokens: 60), stop: ["girl named L"])
      for stop: Any in ["girl named L", ["zebra", "girl named L"]] {
        for stream in [false, true] {
          let answer = try await server.client.post(
            "/v1/completions",
            [
              "prompt": "Once upon a time", "temperature": 0, "max_tokens": 60, "stop": stop,
              "stream": stream,
            ])
          let documents = stream ? answer.events : [answer.json]
          #expect(documents.compactMap(Self.text).joined() == expected.text)
          #expect(documents.compactMap(Self.finish) == ["stop"])
        }
      }
      let sampling: [String: Any] = [
        "prompt": "Once", "max_tokens": 30, "seed": 7, "temperature": 1.1, "top_p": 0.95,
        "top_k": 50, "min_p": 0.01, "repetition_penalty": 1.1,
      ]
      let texts = try await [
        server.client.post("/v1/completions", sampling),
        server.client.post("/v1/completions", sampling),
        server.client.post("/v1/completions", sampling.merging(["seed": 8]) { $1 }),
      ].map { Self.text($0.json) }
      #expect(texts[0] == texts[1])
      #expect(texts[0] != texts[2])
      #expect(try await server.becomesIdle())
      #expect(server.scheduler.statistics.cancelled == 0)
    }
  }

  @Test func `many clients at once each get their own text`() async throws {
    try await RunningServer.with(.init(parallel: 3)) { server in
      let prompts = [
        "Once upon a time", "The dog", "One day, Lily", "Tom and Sam", "A big red ball", "Mom said",
      ]
      try await withThrowingTaskGroup(of: Void.self) { group in
        for (index, prompt) in (prompts + prompts).enumerated() {
          group.addTask {
            let tokens = 10 + 7 * index
            let stream = index % 2 == 0
            let answer = try await server.client.post(
              "/v1/completions",
              ["prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": stream])
            let expected = try server.generator.generate(prompt, .init(tokens: tokens))
            let documents = stream ? answer.events : [answer.json]
            #expect(documents.compactMap(Self.text).joined() == expected.text)
          }
        }
        try await group.waitForAll()
      }
    }
  }
}
