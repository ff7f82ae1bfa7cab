import HalftoneCheckpoints
import HalftoneInference

extension CompletionRequest {
  /// The ids of the conversation in `messages`.
  static func chat(_ fields: RequestFields, _ model: ServedModel) throws(APIError) -> [Int] {
    guard let template = model.template else {
      throw .invalid(
        "the model '\(model.name)' has no known chat template; use /v1/completions, or start the "
          + "server with --chat", code: "no_chat_template")
    }
    guard let list = fields["messages"]?.array, !list.isEmpty else {
      throw .invalid("'messages' must be a list of at least one message", "messages")
    }
    var messages: [ChatMessage] = []
    for (index, value) in list.enumerated() {
      messages.append(try message(value, "messages[\(index)]"))
    }
    do throws(GenerationError) {
      return try template.encode(messages, model.tokenizer)
    } catch {
      throw .invalid(error.description, "messages")
    }
  }

  private static func message(_ value: JSONValue, _ place: String) throws(APIError) -> ChatMessage {
    guard let object = value.object else { throw .invalid("\(place) must be an object", place) }
    let name = object["role"]?.string ?? ""
    // What OpenAI calls the developer's text takes the place of the system's.
    guard let role = ChatMessage.Role(rawValue: name == "developer" ? "system" : name) else {
      throw .invalid("\(place).role must be system, developer, user or assistant", place)
    }
    return ChatMessage(role, try content(object["content"] ?? .null, place))
  }

  /// A text, or a list of text parts.
  private static func content(_ value: JSONValue, _ place: String) throws(APIError) -> String {
    if let text = value.string { return text }
    let parts = value.array?.map { part in
      part["type"]?.string == "text" ? part["text"]?.string : nil
    }
    guard let parts, !parts.contains(nil) else {
      throw .invalid("\(place).content must be a string or a list of text parts", place)
    }
    return parts.compactMap { $0 }.joined()
  }
}
