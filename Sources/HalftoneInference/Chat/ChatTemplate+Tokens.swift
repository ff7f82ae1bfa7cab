public import HalftoneTokenizers

extension ChatTemplate {
  /// The ids of a conversation, ready for the assistant's answer.
  ///
  /// Marks in the messages' own text count as the template's, as they do in other programs.
  ///
  /// - Throws: ``GenerationError`` as for ``text(_:answering:)``, or if the tokenizer does not know
  ///   the template's marks.
  public func encode(
    _ messages: [ChatMessage], _ tokenizer: any Tokenizer
  ) throws(GenerationError) -> [Int] {
    if let missing = requiredTokens.first(where: { tokenizer.id(for: $0) == nil }) {
      throw GenerationError(
        "the model's tokenizer has no \(missing), which the chat template \(rawValue) needs; "
          + "choose another template, or give a plain prompt")
    }
    let text = try text(messages)
    let ids = tokenizer.encode(text, addingSpecialTokens: false)
    guard let beginning, text.hasPrefix(beginning), let id = tokenizer.id(for: beginning),
      ids.first != id
    else { return ids }
    // A vocabulary without added tokens spells the mark out.
    let body = String(text.unicodeScalars.dropFirst(beginning.unicodeScalars.count))
    return [id] + tokenizer.encode(body, addingSpecialTokens: false)
  }

  /// The ids with which the model ends its answer.
  public func endIds(_ tokenizer: any Tokenizer) -> Set<Int> {
    Set(endTokens.compactMap { tokenizer.id(for: $0) })
  }

  private var beginning: String? {
    switch self {
    case .chatML, .qwen2, .qwen25, .qwen3: nil
    case .llama3: "<|begin_of_text|>"
    case .mistralV1, .mistralV3: "<s>"
    }
  }

  private var requiredTokens: [String] {
    switch self {
    case .chatML, .qwen2, .qwen25, .qwen3: ["<|im_start|>", "<|im_end|>"]
    case .llama3: ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    case .mistralV1: ["<s>", "</s>"]
    case .mistralV3: ["<s>", "</s>", "[INST]", "[/INST]"]
    }
  }
}
