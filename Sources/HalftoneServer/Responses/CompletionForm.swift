import Foundation
import HalftoneCheckpoints

/// The JSON of an answer, whole or in chunks.
struct CompletionForm: Sendable {
  let kind: CompletionRequest.Kind
  let model: String
  let promptTokens: Int
  private let id: String
  private let created = Int(Date().timeIntervalSince1970)

  init(_ kind: CompletionRequest.Kind, model: String, promptTokens: Int) {
    self.kind = kind
    self.model = model
    self.promptTokens = promptTokens
    let prefix = kind == .chat ? "chatcmpl-" : "cmpl-"
    id = prefix + String(UInt64.random(in: 1 << 60...UInt64.max), radix: 16)
  }

  /// The answer in one document.
  func whole(_ text: String, finish: String, tokens: Int) -> JSONValue {
    var choice: JSONValue = ["index": 0]
    switch kind {
    case .text: choice["text"] = .string(text)
    case .chat: choice["message"] = ["role": "assistant", "content": .string(text)]
    }
    choice["logprobs"] = .null
    choice["finish_reason"] = .string(finish)
    var document = envelope(kind == .chat ? "chat.completion" : "text_completion")
    document["choices"] = [choice]
    document["usage"] = usage(tokens)
    return document
  }

  /// A piece of the answer; the last has the reason of its end.
  func chunk(_ text: String, finish: String? = nil) -> JSONValue {
    var choice: JSONValue = ["index": 0]
    switch kind {
    case .text: choice["text"] = .string(text)
    case .chat:
      choice["delta"] = text.isEmpty ? .object(JSONObject()) : ["content": .string(text)]
    }
    return chunk(choice, finish)
  }

  /// What comes before the first piece of an answer in a chat; nil otherwise.
  var opening: JSONValue? {
    guard kind == .chat else { return nil }
    return chunk(["index": 0, "delta": ["role": "assistant", "content": ""]], nil)
  }

  /// The chunk after the last one, for clients that ask for it.
  func usageChunk(_ tokens: Int) -> JSONValue {
    var document = envelope(chunkName)
    document["choices"] = []
    document["usage"] = usage(tokens)
    return document
  }

  private var chunkName: String { kind == .chat ? "chat.completion.chunk" : "text_completion" }

  private func chunk(_ choice: JSONValue, _ finish: String?) -> JSONValue {
    var choice = choice
    choice["logprobs"] = .null
    choice["finish_reason"] = finish.map(JSONValue.string) ?? .null
    var document = envelope(chunkName)
    document["choices"] = [choice]
    return document
  }

  private func envelope(_ object: String) -> JSONValue {
    [
      "id": .string(id), "object": .string(object), "created": .number(JSONNumber(created)),
      "model": .string(model),
    ]
  }

  private func usage(_ tokens: Int) -> JSONValue {
    [
      "prompt_tokens": .number(JSONNumber(promptTokens)),
      "completion_tokens": .number(JSONNumber(tokens)),
      "total_tokens": .number(JSONNumber(promptTokens + tokens)),
    ]
  }
}
