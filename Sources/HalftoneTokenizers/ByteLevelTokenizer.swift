/// The tokenizer of a "gpt2" GGUF file: byte-pair merges over printable stand-ins for bytes.
struct ByteLevelTokenizer: Tokenizer {
  private let model: BytePairEncoding
  private let preTokenizer: PreTokenizer
  private let matcher: AddedTokenMatcher
  private let vocabulary: GGUFVocabulary
  private let ids: [ByteString: Int32]
  private let alphabet = ByteLevelAlphabet()
  private let addsBeginning: Bool
  private let addsEnd: Bool
  let beginningOfText: Int?
  let endOfText: Int?

  var vocabularySize: Int { vocabulary.tokens.count }

  init(_ vocabulary: GGUFVocabulary, file: String) throws(TokenizerError) {
    guard let merges = vocabulary.merges else {
      throw TokenizerError(
        .missing, "tokenizer.ggml.merges is missing; convert the model again", at: file)
    }
    let style = try GGUFPreTokenizer(vocabulary.pre ?? "default", file: file)
    self.vocabulary = vocabulary
    ids = vocabulary.ids()
    preTokenizer = style.preTokenizer
    model = BytePairEncoding(
      vocabulary: style.ignoresMerges ? ids : [:], merges: try Self.merges(merges, ids, file),
      scalars: ScalarTable(ids), ignoresMerges: style.ignoresMerges)
    matcher = AddedTokenMatcher(vocabulary.matchedTokens())
    beginningOfText = vocabulary.beginningOfText
    endOfText = vocabulary.endOfText
    addsBeginning = vocabulary.addsBeginning ?? style.addsBeginning
    addsEnd = vocabulary.addsEnd ?? false
  }

  private static func merges(
    _ lines: [[UInt8]], _ ids: [ByteString: Int32], _ file: String
  ) throws(TokenizerError) -> [UInt64: BytePairEncoding.Merge] {
    var merges: [UInt64: BytePairEncoding.Merge] = [:]
    merges.reserveCapacity(lines.count)
    for (rank, line) in lines.enumerated() {
      // The left part is at least one character, which may be a space.
      guard let cut = line.dropFirst().firstIndex(of: 0x20) else {
        throw TokenizerError(.malformed, "merge \(rank) has no space between two tokens", at: file)
      }
      let (left, right) = (Array(line[..<cut]), Array(line[(cut + 1)...]))
      guard let first = ids[ByteString(left)], let second = ids[ByteString(right)],
        let joined = ids[ByteString(left + right)]
      else {
        throw TokenizerError(
          .inconsistent,
          "merge \(rank), '\(String(decoding: line, as: UTF8.self))', joins what is no token",
          at: file)
      }
      let pair = BytePairEncoding.pair(first, second)
      if merges[pair] == nil { merges[pair] = .init(rank: UInt32(rank), id: joined) }
    }
    return merges
  }

  func encode(_ text: String, addingSpecialTokens: Bool) -> [Int] {
    let bytes = Array(text.utf8)
    var result: [Int] = []
    if addingSpecialTokens, addsBeginning, let beginningOfText { result.append(beginningOfText) }
    var work = BytePairEncoding.Workspace()
    for part in matcher.parts(of: bytes) {
      if let token = part.token {
        result.append(Int(token))
        continue
      }
      var pieces = SplitText(Array(bytes[part.range]), startsAtOrigin: part.range.lowerBound == 0)
      preTokenizer.apply(to: &pieces)
      var start = 0
      for end in pieces.ends {
        model.encode(pieces.bytes[start..<end], in: pieces.bytes, to: &result, &work)
        start = end
      }
    }
    if addingSpecialTokens, addsEnd, let endOfText { result.append(endOfText) }
    return result
  }

  func decode(_ ids: [Int], skippingSpecialTokens: Bool) -> String {
    var result: [UInt8] = []
    for id in ids where vocabulary.tokens.indices.contains(id) {
      let token = vocabulary.tokens[id]
      switch vocabulary.type(id) {
      case .control, .unknown: if !skippingSpecialTokens { result += token }
      case .userDefined: result += token
      case .normal, .unused, .byte: result += alphabet.bytes(of: token)
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  func token(for id: Int) -> String? {
    vocabulary.tokens.indices.contains(id)
      ? String(decoding: vocabulary.tokens[id], as: UTF8.self) : nil
  }

  func id(for token: String) -> Int? { ids[ByteString(token)].map(Int.init) }
}

/// What the name in `tokenizer.ggml.pre` stands for.
struct GGUFPreTokenizer {
  let preTokenizer: PreTokenizer
  /// A piece that is a token is that token, whatever its merges say.
  let ignoresMerges: Bool
  let addsBeginning: Bool

  private static let styles: [(names: [String], style: Style)] = [
    (
      [
        "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
      ],
      Style([.llama3(digits: 3)], ignoresMerges: true, addsBeginning: true)
    ),
    (["dbrx", "smaug-bpe", "chatglm-bpe"], Style([.llama3(digits: 3)])),
    (["glm4"], Style([.llama3(digits: 3)], ignoresMerges: true)),
    (
      ["qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "grok-2"],
      Style([.llama3(digits: 1)])
    ),
    (
      ["gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "gigachat"],
      Style([.gpt2])
    ),
    (
      ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
      Style([.singleDigits, .gpt2])
    ),
    (
      ["tekken"],
      Style([.cased(digits: 1, contractions: false)], ignoresMerges: true, addsBeginning: true)
    ),
    (["gpt-4o", "llama4", "kanana2"], Style([.cased(digits: 3, contractions: true)])),
    (["default"], Style([.punctuation, .gpt2, .numbers, .digitTriples])),
  ]

  private struct Style {
    var patterns: [SplitPattern]
    var ignoresMerges = false
    var addsBeginning = false

    init(_ patterns: [SplitPattern], ignoresMerges: Bool = false, addsBeginning: Bool = false) {
      self.patterns = patterns
      self.ignoresMerges = ignoresMerges
      self.addsBeginning = addsBeginning
    }
  }

  init(_ name: String, file: String) throws(TokenizerError) {
    guard let style = Self.styles.first(where: { $0.names.contains(name) })?.style else {
      let names = Self.styles.flatMap(\.names).sorted().joined(separator: ", ")
      throw TokenizerError(
        .unsupported, "tokenizer.ggml.pre \"\(name)\" is not supported; supported: \(names)",
        at: file)
    }
    let splits = style.patterns.map {
      PreTokenizer.split(.pattern($0), .isolated, inverted: false)
    }
    preTokenizer = .sequence(
      splits + [.byteLevel(addsPrefixSpace: false, usesPattern: false, ByteLevelAlphabet())])
    ignoresMerges = style.ignoresMerges
    addsBeginning = style.addsBeginning
  }
}
