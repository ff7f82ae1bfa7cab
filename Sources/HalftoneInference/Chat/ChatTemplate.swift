import Foundation

/// How a family of models was taught to see a conversation.
public enum ChatTemplate: String, Sendable, CaseIterable {
  case chatML = "chatml"
  case llama3 = "llama3"
  /// Spaces around both markers; system text before the first question.
  case mistralV1 = "mistral-v1"
  /// The closing marker follows the text directly; system text before the last question.
  case mistralV3 = "mistral-v3"
  /// ChatML with a short system text of its own where none is given.
  case qwen2 = "qwen2"
  /// ChatML with a system text of its own where none is given.
  case qwen25 = "qwen2.5"
  /// ChatML; thoughts of earlier answers are left out.
  case qwen3 = "qwen3"

  /// The template of this name.
  ///
  /// - Throws: ``GenerationError`` listing the names there are.
  public init(name: String) throws(GenerationError) {
    guard let template = Self(rawValue: name.lowercased()) else {
      let names = Self.allCases.map(\.rawValue).joined(separator: ", ")
      throw GenerationError("no chat template '\(name)'; there are \(names)")
    }
    self = template
  }

  /// The template that the source text of a model's own one, in Jinja, amounts to; nil if it has
  /// none of the marks of those known.
  ///
  /// The text is searched for marks, not run.
  public init?(recognizedIn source: String) {
    func has(_ mark: String) -> Bool { source.contains(mark) }
    if has("<|im_start|>") {
      if has("<think>") || has("</think>") {
        self = .qwen3
      } else if has("You are Qwen, created by Alibaba Cloud") {
        self = .qwen25
      } else {
        self = has("You are a helpful assistant") ? .qwen2 : .chatML
      }
    } else if has("<|start_header_id|>") && has("<|eot_id|>") {
      self = .llama3
    } else if has("[INST]") && !has("<<SYS>>") {
      self = has(" [/INST]") ? .mistralV1 : .mistralV3
    } else {
      return nil
    }
  }

  /// The tokens with which the model ends its answer.
  public var endTokens: [String] {
    switch self {
    case .chatML, .qwen2, .qwen25, .qwen3: ["<|im_end|>", "<|endoftext|>"]
    case .llama3: ["<|eot_id|>", "<|end_of_text|>"]
    case .mistralV1, .mistralV3: ["</s>"]
    }
  }

  /// The text of a conversation, with the opening of the assistant's answer if `answering`.
  ///
  /// - Throws: ``GenerationError`` if there are no messages, or in an order that the models were
  ///   not taught.
  public func text(
    _ messages: [ChatMessage], answering: Bool = true
  ) throws(GenerationError) -> String {
    guard !messages.isEmpty else { throw GenerationError("a chat without messages") }
    switch self {
    case .chatML: return Self.chatML(messages, answering)
    case .qwen2:
      return Self.chatML(Self.led(messages, "You are a helpful assistant."), answering)
    case .qwen25:
      let system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
      return Self.chatML(Self.led(messages, system), answering)
    case .qwen3: return Self.qwen3(messages, answering)
    case .llama3: return Self.llama3(messages, answering)
    case .mistralV1: return try Self.mistralV1(messages)
    case .mistralV3: return try Self.mistralV3(messages)
    }
  }
}

// MARK: - ChatML

extension ChatTemplate {
  private static func chatML(_ messages: [ChatMessage], _ answering: Bool) -> String {
    messages.map { "<|im_start|>\($0.role.rawValue)\n\($0.content)<|im_end|>\n" }.joined()
      + (answering ? "<|im_start|>assistant\n" : "")
  }

  private static func led(_ messages: [ChatMessage], _ system: String) -> [ChatMessage] {
    messages[0].role == .system ? messages : [ChatMessage(.system, system)] + messages
  }

  /// Of an assistant's turn before the last question only the answer is kept; after it the thoughts
  /// are shown, and the last turn has them even if empty.
  private static func qwen3(_ messages: [ChatMessage], _ answering: Bool) -> String {
    let lastQuestion = messages.lastIndex { $0.role == .user } ?? messages.count - 1
    let shown = messages.enumerated().map { index, message in
      guard message.role == .assistant else { return message }
      let (thoughts, answer) = split(message.content)
      let isLast = index == messages.count - 1
      guard index > lastQuestion, isLast || !thoughts.isEmpty else {
        return ChatMessage(.assistant, answer)
      }
      return ChatMessage(
        .assistant,
        "<think>\n\(trimmed(thoughts))\n</think>\n\n\(trimmed(answer, end: false))")
    }
    return chatML(shown, answering)
  }

  /// What stands between the last `<think>` and the first `</think>`, and what follows the last.
  private static func split(_ content: String) -> (thoughts: String, answer: String) {
    let parts = content.components(separatedBy: "</think>")
    guard parts.count > 1 else { return ("", content) }
    let before = trimmed(parts[0], start: false).components(separatedBy: "<think>")
    return (
      trimmed(before[before.count - 1], end: false), trimmed(parts[parts.count - 1], end: false)
    )
  }

  /// Without the line ends around it.
  private static func trimmed(_ text: String, start: Bool = true, end: Bool = true) -> String {
    var scalars = text.unicodeScalars[...]
    while start, scalars.first == "\n" { scalars.removeFirst() }
    while end, scalars.last == "\n" { scalars.removeLast() }
    return String(scalars)
  }
}

// MARK: - Llama 3 and Mistral

extension ChatTemplate {
  private static func llama3(_ messages: [ChatMessage], _ answering: Bool) -> String {
    func header(_ role: ChatMessage.Role) -> String {
      "<|start_header_id|>\(role.rawValue)<|end_header_id|>\n\n"
    }
    return "<|begin_of_text|>"
      + messages.map { header($0.role) + stripped($0.content) + "<|eot_id|>" }.joined()
      + (answering ? header(.assistant) : "")
  }

  private static func mistralV1(_ messages: [ChatMessage]) throws(GenerationError) -> String {
    let (system, turns) = try alternating(messages)
    return "<s>"
      + turns.enumerated().map { index, turn in
        guard turn.role == .user else { return " \(turn.content)</s>" }
        let lead = index == 0 ? system.map { $0 + "\n\n" } ?? "" : ""
        return " [INST] \(lead)\(turn.content) [/INST]"
      }.joined()
  }

  private static func mistralV3(_ messages: [ChatMessage]) throws(GenerationError) -> String {
    let (system, turns) = try alternating(messages)
    return "<s>"
      + turns.enumerated().map { index, turn in
        guard turn.role == .user else { return " \(stripped(turn.content))</s>" }
        let lead = index == turns.count - 1 ? system.map { $0 + "\n\n" } ?? "" : ""
        return "[INST] \(lead)\(turn.content)[/INST]"
      }.joined()
  }

  /// The system text, and the turns, which must alternate between user and assistant.
  private static func alternating(
    _ messages: [ChatMessage]
  ) throws(GenerationError) -> (system: String?, turns: ArraySlice<ChatMessage>) {
    let system = messages[0].role == .system ? messages[0].content : nil
    let turns = Array(messages.dropFirst(system == nil ? 0 : 1))
    for (index, turn) in turns.enumerated() {
      let expected: ChatMessage.Role = index % 2 == 0 ? .user : .assistant
      guard turn.role == expected else {
        throw GenerationError(
          "message \(index + messages.count - turns.count + 1) of the chat is the "
            + "\(turn.role.rawValue)'s; this template wants one system text at most, then user and "
            + "assistant in turn")
      }
    }
    return (system, turns[...])
  }

  /// Without the white space around it.
  private static func stripped(_ text: String) -> String {
    var scalars = text.unicodeScalars[...]
    while let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
    while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
    return String(scalars)
  }
}
