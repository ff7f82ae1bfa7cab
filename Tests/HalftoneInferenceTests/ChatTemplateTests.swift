import Foundation
import HalftoneInference
import HalftonePipeline
import HalftoneTestSupport
import HalftoneTokenizers
import Testing

@Suite struct ChatTemplateTests {
  /// From Scripts/golden/chat_templates.py: transformers' apply_chat_template.
  struct Golden: Decodable {
    struct Case: Decodable {
      let template: String
      let messages: [[String]]
      let answering: Bool
      let text: String
    }

    let sources: [String: String]
    let cases: [Case]
  }

  static func golden() throws -> Golden {
    let file = try Repository.data(
      "Tests/HalftoneInferenceTests/Golden/chat-templates.json")
    return try JSONDecoder().decode(Golden.self, from: file)
  }

  @Test func `conversations read as the reference renders them`() throws {
    let golden = try Self.golden()
    #expect(Set(golden.sources.keys) == Set(ChatTemplate.allCases.map(\.rawValue)))
    for (index, expected) in golden.cases.enumerated() {
      let messages = try expected.messages.map {
        ChatMessage(try #require(ChatMessage.Role(rawValue: $0[0])), $0[1])
      }
      let found = try ChatTemplate(name: expected.template).text(
        messages, answering: expected.answering)
      #expect(
        Array(found.utf8) == Array(expected.text.utf8), "case \(index), \(expected.template)")
    }
  }

  @Test func `templates are recognized by their source`() throws {
    for (name, source) in try Self.golden().sources {
      #expect(ChatTemplate(recognizedIn: source)?.rawValue == name)
    }
    for source in ["", "{{ messages }}", "<s>[INST] <<SYS>>\n{{ system }}", "<|user|>"] {
      #expect(ChatTemplate(recognizedIn: source) == nil)
    }
  }

  @Test func `names and conversations that make no sense are refused`() throws {
    #expect(try ChatTemplate(name: "ChatML") == .chatML)
    let unknown = #expect(throws: GenerationError.self) { try ChatTemplate(name: "klingon") }
    #expect(unknown?.description.contains("qwen2.5") == true)
    for template in ChatTemplate.allCases {
      #expect(throws: GenerationError.self) { try template.text([]) }
    }
    for template in [ChatTemplate.mistralV1, .mistralV3] {
      for roles: [ChatMessage.Role] in [
        [.assistant], [.user, .user], [.system, .assistant], [.user, .system],
        [.system, .system, .user],
      ] {
        #expect(throws: GenerationError.self) { try template.text(roles.map { .init($0, "x") }) }
      }
    }
  }

  @Test func `marks become the tokenizer's own tokens`() throws {
    let opened = try OpenedModel(path: Repository.path("Resources/models/stories260k"))
    let tokenizer = try opened.tokenizer()
    let message = ChatMessage(.user, "Once")
    let ids = try ChatTemplate.mistralV1.encode([message], tokenizer)
    #expect(ids.first == 1)
    #expect(ids.filter { $0 == 1 }.count == 1)
    #expect(tokenizer.decode(ids, skippingSpecialTokens: true).contains("[INST] Once [/INST]"))
    #expect(ChatTemplate.mistralV1.endIds(tokenizer) == [2])
    let missing = #expect(throws: GenerationError.self) {
      try ChatTemplate.chatML.encode([message], tokenizer)
    }
    #expect(missing?.description.contains("<|im_start|>") == true)
    // The llama2.c vocabulary has no added tokens: its marks are spelt out.
    let folder = "Resources/models/stories260k/llama2c"
    let plain = try Tokenizers.load(
      llama2cTokenizer: Repository.path("\(folder)/tok512.bin"), vocabularySize: 512)
    if plain.id(for: "<s>") != nil {
      let ids = try ChatTemplate.mistralV1.encode([message], plain)
      #expect(ids.first == plain.id(for: "<s>"))
    }
  }

  @Test func `the model's own template is found in its files`() throws {
    let source = try #require(try Self.golden().sources["qwen3"])
    let model = Repository.path("Resources/models/stories260k")
    let scratch = try Scratch()
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
      try FileManager.default.copyItem(
        atPath: "\(model)/\(file)", toPath: "\(scratch.path)/\(file)")
    }
    let opened = try OpenedModel(path: scratch.path)
    #expect(try opened.chatTemplate(named: nil) == nil)
    #expect(try opened.chatTemplate(named: "llama3") == .llama3)
    #expect(throws: PipelineError.self) { try opened.chatTemplate(named: "auto") }
    let list = [["name": "tool_use", "template": "x"], ["name": "default", "template": source]]
    for value: Any in [source, list] {
      let data = try JSONSerialization.data(withJSONObject: ["chat_template": value])
      _ = try scratch.write("tokenizer_config.json", String(decoding: data, as: UTF8.self))
      #expect(try opened.chatTemplate(named: "auto") == .qwen3)
    }
    _ = try scratch.write("chat_template.jinja", "{{ '<|start_header_id|>' + '<|eot_id|>' }}")
    #expect(try opened.chatTemplate(named: "auto") == .llama3)
    _ = try scratch.write("chat_template.jinja", "{{ messages }}")
    #expect(throws: PipelineError.self) { try opened.chatTemplate(named: "auto") }
  }
}
