/// The pipeline that a tokenizer.json describes: added tokens, normalizer, pre-tokenizer, model,
/// post-processor, decoder.
struct JSONTokenizer: Tokenizer {
  private let model: BytePairEncoding
  private let normalizer: Normalizer?
  private let preTokenizer: PreTokenizer?
  private let postProcessor: PostProcessor?
  private let decoder: Decoder?
  private let rawTokens: AddedTokenMatcher
  private let normalizedTokens: AddedTokenMatcher
  private let tokens: [Int32: [UInt8]]
  private let ids: [ByteString: Int32]
  private let specialTokens: Set<ByteString>
  let vocabularySize: Int
  let beginningOfText: Int?
  let endOfText: Int?

  /// Builds the pipeline of a parsed document.
  init(_ root: JSONNode, configuration: JSONNode?) throws {
    var model = try BytePairEncoding(try root.required("model"))
    normalizer = try root.member("normalizer").map(Normalizer.init)
    preTokenizer = try root.member("pre_tokenizer").map(PreTokenizer.init)
    postProcessor = try root.member("post_processor").map(PostProcessor.init)
    decoder = try root.member("decoder").map(Decoder.init)
    try root.member("normalizer")?.limitGrowth(normalizer?.growth)
    try root.member("pre_tokenizer")?.limitGrowth(preTokenizer?.growth)
    try root.member("decoder")?.limitGrowth(decoder?.growth)

    let table = try TokenTable(model.vocabulary, added: root.member("added_tokens"))
    ids = table.ids
    tokens = table.tokens
    specialTokens = Set(table.added.filter(\.isSpecial).map { ByteString($0.content) })
    rawTokens = AddedTokenMatcher(
      table.added.filter { !$0.isNormalized }.map { ($0, $0.content) })
    normalizedTokens = AddedTokenMatcher(
      table.added.filter(\.isNormalized).map { [normalizer] token in
        (token, normalizer?.normalize(token.content) ?? token.content)
      })
    if !model.ignoresMerges { model.vocabulary = [:] }
    self.model = model
    vocabularySize = (tokens.keys.max().map(Int.init) ?? -1) + 1
    let boundaries = BoundaryTokens(configuration, ids: ids)
    beginningOfText = boundaries.beginning
    endOfText = boundaries.end
  }

  func encode(_ text: String, addingSpecialTokens: Bool) -> [Int] {
    let bytes = Array(text.utf8)
    var result: [Int] = []
    result.reserveCapacity(bytes.count / 3)
    var work = BytePairEncoding.Workspace()
    for part in rawTokens.parts(of: bytes) {
      if let token = part.token {
        result.append(Int(token))
      } else {
        let section = part.range.count == bytes.count ? bytes : Array(bytes[part.range])
        encodeSection(section, atOrigin: part.range.lowerBound == 0, to: &result, &work)
      }
    }
    guard addingSpecialTokens, let postProcessor else { return result }
    return postProcessor.process(result)
  }

  /// Appends the ids of a text that lies between added tokens of the original text.
  private func encodeSection(
    _ section: [UInt8], atOrigin: Bool, to result: inout [Int],
    _ work: inout BytePairEncoding.Workspace
  ) {
    let bytes = normalizer?.normalize(section) ?? section
    for part in normalizedTokens.parts(of: bytes) {
      if let token = part.token {
        result.append(Int(token))
        continue
      }
      let piece = part.range.count == bytes.count ? bytes : Array(bytes[part.range])
      var text = SplitText(piece, startsAtOrigin: atOrigin && part.range.lowerBound == 0)
      preTokenizer?.apply(to: &text)
      var start = 0
      for end in text.ends {
        model.encode(text.bytes[start..<end], in: text.bytes, to: &result, &work)
        start = end
      }
    }
  }

  func decode(_ ids: [Int], skippingSpecialTokens: Bool) -> String {
    var pieces: [[UInt8]] = []
    for id in ids {
      guard let key = Int32(exactly: id), let token = tokens[key] else { continue }
      if skippingSpecialTokens, specialTokens.contains(ByteString(token)) { continue }
      pieces.append(token)
    }
    guard let decoder else {
      return String(decoding: Array(pieces.joined(separator: [0x20])), as: UTF8.self)
    }
    return String(decoding: Array(decoder.decode(pieces).joined()), as: UTF8.self)
  }

  func token(for id: Int) -> String? {
    Int32(exactly: id).flatMap { tokens[$0] }.map { String(decoding: $0, as: UTF8.self) }
  }

  func id(for token: String) -> Int? {
    ids[ByteString(token)].map(Int.init)
  }
}

/// The ids that begin and end a text.
private struct BoundaryTokens {
  var beginning: Int?
  var end: Int?

  /// Takes what tokenizer_config.json names, else the names that tokenizers conventionally use.
  init(_ configuration: JSONNode?, ids: [ByteString: Int32]) {
    func find(_ member: String, _ conventional: [String]) -> Int? {
      if let node = try? configuration?.member(member),
        let name = (try? node.bytes()) ?? (try? node.required("content").bytes()),
        let id = ids[ByteString(name)]
      {
        return Int(id)
      }
      return conventional.lazy.compactMap { ids[ByteString($0)] }.first.map(Int.init)
    }
    beginning = find("bos_token", ["<|begin_of_text|>", "<s>", "<bos>"])
    end = find("eos_token", ["<|end_of_text|>", "</s>", "<eos>", "<|endoftext|>", "<|im_end|>"])
  }
}

/// The tokens of the model's vocabulary and the added ones, by id and by spelling.
private struct TokenTable {
  var ids: [ByteString: Int32]
  var tokens: [Int32: [UInt8]] = [:]

  /// The added tokens, special ones first: the order in which equal spellings are preferred.
  var added: [AddedToken] = []

  init(_ vocabulary: [ByteString: Int32], added node: JSONNode?) throws {
    ids = vocabulary
    for (token, id) in vocabulary { tokens[id] = token.bytes }
    for node in try node?.elements() ?? [] {
      var token = try AddedToken(node)
      guard !token.content.isEmpty else { continue }
      let key = ByteString(token.content)
      token.id = ids[key] ?? token.id
      guard tokens[token.id] == nil || tokens[token.id] == token.content else {
        throw TokenizerError(
          .inconsistent, "id \(token.id) of '\(key.text)' belongs to another token",
          at: node.place)
      }
      ids[key] = token.id
      tokens[token.id] = token.content
      added.append(token)
    }
    added = added.filter(\.isSpecial) + added.filter { !$0.isSpecial }
  }
}
