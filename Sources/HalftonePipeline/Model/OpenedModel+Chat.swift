public import HalftoneInference
import Foundation
import HalftoneCheckpoints

extension OpenedModel {
  /// The template called `name`; for "auto" the one that the model's own amounts to, and nil for
  /// nil.
  ///
  /// - Throws: ``GenerationError`` for an unknown name; ``PipelineError`` where the model has no
  ///   template, or one that is not recognized.
  public func chatTemplate(named name: String?) throws -> ChatTemplate? {
    guard let name else { return nil }
    guard name == "auto" else { return try ChatTemplate(name: name) }
    let names = ChatTemplate.allCases.map(\.rawValue).joined(separator: ", ")
    guard let source = chatTemplateSource() else {
      throw PipelineError(
        .badInput, "the model has no chat template; name one of \(names)", at: path)
    }
    guard let template = ChatTemplate(recognizedIn: source) else {
      throw PipelineError(
        .badInput, "the model's chat template is none of those known; name one of \(names)",
        at: path)
    }
    return template
  }

  /// The Jinja text that the model's files give for conversations, if any.
  public func chatTemplateSource() -> String? {
    guard SystemFile.isDirectory(path) else { return chatTemplate }
    let directory = path as NSString
    let file = directory.appendingPathComponent("chat_template.jinja")
    if let text = try? TextFile.read(file) { return text }
    let configuration = directory.appendingPathComponent("tokenizer_config.json")
    guard let bytes = try? Data(contentsOf: URL(fileURLWithPath: configuration)),
      let member = try? JSONValue(parsing: Array(bytes))["chat_template"]
    else { return nil }
    return member.string
      ?? member.array?.first { $0["name"]?.string == "default" }?["template"]?
      .string
  }
}
