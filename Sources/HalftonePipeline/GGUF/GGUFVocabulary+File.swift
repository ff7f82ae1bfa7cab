import HalftoneCheckpoints
import HalftoneTokenizers

extension GGUFCheckpoint {
  /// The tokenizer that the metadata describes.
  ///
  /// - Throws: ``PipelineError`` where there is none, or where a list is not of its type.
  func vocabulary() throws(PipelineError) -> GGUFVocabulary {
    guard let kind = files[0]["tokenizer.ggml.model"]?.string, kind != "none" else {
      throw PipelineError(
        .missing, "no tokenizer in the metadata (tokenizer.ggml.model)", at: path)
    }
    guard let tokens = files[0]["tokenizer.ggml.tokens"]?.array?.strings else {
      throw PipelineError(.badInput, "tokenizer.ggml.tokens is no list of strings", at: path)
    }
    var vocabulary = GGUFVocabulary(model: kind, tokens: tokens)
    vocabulary.pre = files[0]["tokenizer.ggml.pre"]?.string
    vocabulary.scores = try list("scores") { $0.numbers?.map { Float($0) } }
    vocabulary.types = try list("token_type", \.integers)
    vocabulary.merges = try list("merges", \.strings)
    vocabulary.beginningOfText = files[0]["tokenizer.ggml.bos_token_id"]?.int
    vocabulary.endOfText = files[0]["tokenizer.ggml.eos_token_id"]?.int
    vocabulary.unknown = files[0]["tokenizer.ggml.unknown_token_id"]?.int
    vocabulary.addsBeginning = files[0]["tokenizer.ggml.add_bos_token"]?.bool
    vocabulary.addsEnd = files[0]["tokenizer.ggml.add_eos_token"]?.bool
    vocabulary.addsSpace = files[0]["tokenizer.ggml.add_space_prefix"]?.bool
    return vocabulary
  }

  private func list<T>(_ name: String, _ read: (GGUFArray) -> [T]?) throws(PipelineError) -> [T]? {
    guard let value = files[0]["tokenizer.ggml.\(name)"] else { return nil }
    guard let list = value.array.flatMap(read) else {
      throw PipelineError(.badInput, "tokenizer.ggml.\(name) is no list of its type", at: path)
    }
    return list
  }

  /// The template that turns a conversation into a prompt, if the file has one.
  var chatTemplate: String? { files[0]["tokenizer.chat_template"]?.string }
}
