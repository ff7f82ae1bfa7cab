/// The tokenizer that a GGUF file's metadata describes.
public struct GGUFVocabulary: Sendable {
  /// `tokenizer.ggml.model`: "llama" or "gpt2".
  public var model: String
  /// `tokenizer.ggml.pre`: how text is split before byte-level merges.
  public var pre: String?
  /// The spelling of each id.
  public var tokens: [[UInt8]]
  /// One a token, for "llama".
  public var scores: [Float]?
  /// What each token is: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
  public var types: [Int]?
  /// "left right", in the order in which they are tried, for "gpt2".
  public var merges: [[UInt8]]?
  public var beginningOfText: Int?
  public var endOfText: Int?
  public var unknown: Int?
  /// Whether the ids that begin and end a text are added; nil for what the kind of model does.
  public var addsBeginning: Bool?
  public var addsEnd: Bool?
  /// Whether a space is put before the text, for "llama".
  public var addsSpace: Bool?

  public init(model: String, tokens: [[UInt8]]) {
    self.model = model
    self.tokens = tokens
  }
}

/// What a token of a GGUF vocabulary is.
enum GGUFTokenType: Int {
  case normal = 1
  case unknown, control, userDefined, unused, byte
}

extension GGUFVocabulary {
  /// Every list must be as long as the tokens, and every id one of them.
  func check(_ file: String) throws(TokenizerError) {
    func refuse(_ message: String) -> TokenizerError {
      TokenizerError(.inconsistent, message, at: file)
    }
    guard !tokens.isEmpty, tokens.count < Int(Int32.max) else {
      throw refuse("tokenizer.ggml.tokens holds \(tokens.count) tokens")
    }
    for (name, count) in [("scores", scores?.count), ("token_type", types?.count)] {
      guard let count, count != tokens.count else { continue }
      throw refuse("tokenizer.ggml.\(name) has \(count) entries for \(tokens.count) tokens")
    }
    for (name, id) in [("bos", beginningOfText), ("eos", endOfText), ("unknown", unknown)] {
      guard let id, !tokens.indices.contains(id) else { continue }
      throw refuse("tokenizer.ggml.\(name)_token_id is \(id) of \(tokens.count) tokens")
    }
  }

  func type(_ id: Int) -> GGUFTokenType {
    types.flatMap { GGUFTokenType(rawValue: $0[id]) } ?? .normal
  }

  /// The ids of all tokens by spelling; the last of equal ones, as llama.cpp has it.
  func ids() -> [ByteString: Int32] {
    var ids: [ByteString: Int32] = [:]
    ids.reserveCapacity(tokens.count)
    for (id, token) in tokens.enumerated() { ids[ByteString(token)] = Int32(id) }
    return ids
  }

  /// The tokens found in the text itself, whatever is around them.
  func matchedTokens() -> [(token: AddedToken, pattern: [UInt8])] {
    tokens.indices.compactMap { id in
      let kind = type(id)
      guard [.control, .userDefined, .unknown].contains(kind), !tokens[id].isEmpty else {
        return nil
      }
      let token = AddedToken(
        id: Int32(id), content: tokens[id], isSpecial: kind != .userDefined)
      return (token, tokens[id])
    }
  }
}

extension Tokenizers {
  /// The tokenizer of a GGUF file; `file` names it in messages.
  ///
  /// - Throws: ``TokenizerError`` for a kind of tokenizer that is not supported, or lists that do
  ///   not fit together.
  public static func load(_ vocabulary: GGUFVocabulary, file: String) throws -> any Tokenizer {
    try vocabulary.check(file)
    switch vocabulary.model {
    case "llama": return try SentencePieceTokenizer(vocabulary, file: file)
    case "gpt2": return try ByteLevelTokenizer(vocabulary, file: file)
    default:
      throw TokenizerError(
        .unsupported,
        "tokenizer.ggml.model \"\(vocabulary.model)\" is not supported; supported: llama, gpt2",
        at: file)
    }
  }
}
