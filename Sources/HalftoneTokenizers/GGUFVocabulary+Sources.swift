import Foundation

extension GGUFVocabulary {
  /// What the tokenizer.json in `directory`, with tokenizer_config.json, is as a GGUF vocabulary.
  ///
  /// - Throws: ``TokenizerError`` for one that no GGUF vocabulary stands for.
  public init(directory: String) throws {
    let path = directory + "/tokenizer.json"
    guard FileManager.default.fileExists(atPath: path) else {
      let binary = directory + "/tokenizer.bin"
      guard FileManager.default.fileExists(atPath: binary) else {
        throw TokenizerError(
          .missing, "neither tokenizer.json nor tokenizer.bin is there", at: directory)
      }
      try self.init(llama2cTokenizer: binary, vocabularySize: nil)
      return
    }
    let tokenizer = try Tokenizers.load(directory: directory)
    let bytes = try Tokenizers.read(path)
    let root = JSONNode(value: try JSONParser.parse(bytes, file: path), path: "$", file: path)
    let model = try root.required("model")
    let isSentencePiece = try model.flag("byte_fallback", default: false)
    self.init(model: isSentencePiece ? "llama" : "gpt2", tokens: [])
    let merges = try Self.merges(try model.required("merges"))
    try addTokens(try model.required("vocab"), added: root.member("added_tokens"))
    if isSentencePiece {
      scores = scores(of: merges)
      addsSpace = try Self.addsSpace(root)
      unknown = try model.member("unk_token").flatMap { name in
        tokens.firstIndex(of: try name.bytes())
      }
    } else {
      pre = try Self.pre(root)
      self.merges = merges.map { $0.0 + [0x20] + $0.1 }
    }
    beginningOfText = tokenizer.beginningOfText
    endOfText = tokenizer.endOfText
    // An empty text shows what is put around every text.
    let around = tokenizer.encode("", addingSpecialTokens: true)
    addsBeginning = around.first.map { $0 == beginningOfText } ?? false
    addsEnd = around.last.map { $0 == endOfText } ?? false
  }

  private static func merges(_ node: JSONNode) throws -> [([UInt8], [UInt8])] {
    try node.elements().compactMap { merge in
      switch merge.value {
      case .array(let pair):
        if pair.count == 2, case .string(let left) = pair[0], case .string(let right) = pair[1] {
          // A space ends the left part in a GGUF file; within parts it has another spelling.
          let mark: [UInt8] = [0xC4, 0xA0]
          return (
            left.replacing(bytes: [0x20], with: mark), right.replacing(bytes: [0x20], with: mark)
          )
        }
      case .string(let line):
        let parts = line.split(separator: 0x20, omittingEmptySubsequences: false)
        if parts.count == 2 { return (Array(parts[0]), Array(parts[1])) }
        if line.matches(Array("#version".utf8), at: 0) { return nil }
      default: break
      }
      throw merge.malformed("a merge is two tokens")
    }
  }

  private mutating func addTokens(_ vocabulary: JSONNode, added: JSONNode?) throws {
    var all: [Int: [UInt8]] = [:]
    var kinds: [Int: Int] = [:]
    for member in try vocabulary.members() {
      guard case .integer(let id) = member.value, (0..<Int(Int32.max)).contains(id) else {
        throw vocabulary.malformed("an id is no whole number")
      }
      all[id] = member.key
      if model == "llama" {
        if ByteToken.byte(of: member.key) != nil { kinds[id] = GGUFTokenType.byte.rawValue }
      }
    }
    for node in try added?.elements() ?? [] {
      let token = try AddedToken(node)
      let isUnknown = token.content == Array("<unk>".utf8)
      let kind: GGUFTokenType =
        isUnknown ? .unknown : token.isSpecial ? .control : .userDefined
      all[Int(token.id)] = token.content
      kinds[Int(token.id)] = kind.rawValue
    }
    let count = (all.keys.max() ?? -1) + 1
    guard count <= 2 * all.count + 1024 else {
      throw vocabulary.malformed("ids up to \(count) for \(all.count) tokens")
    }
    tokens = (0..<count).map { all[$0] ?? Array("[PAD\($0)]".utf8) }
    types = (0..<count).map { id in
      kinds[id] ?? (all[id] == nil ? GGUFTokenType.unused : .normal).rawValue
    }
  }

  /// Scores that rank tokens as their first merge is ranked.
  private func scores(of merges: [([UInt8], [UInt8])]) -> [Float] {
    var ranks: [ByteString: Int] = [:]
    for (rank, merge) in merges.enumerated() {
      let joined = ByteString(merge.0 + merge.1)
      if ranks[joined] == nil { ranks[joined] = rank }
    }
    return tokens.map { token in ranks[ByteString(token)].map { -Float($0) } ?? -1e6 }
  }

  private static func addsSpace(_ root: JSONNode) throws -> Bool {
    let parts = try [root.member("normalizer"), root.member("pre_tokenizer")].compactMap { $0 }
    for part in try parts.flatMap({ try leaves($0) }) {
      switch try part.required("type").text() {
      case "Prepend": return true
      case "Metaspace": return try Metaspace(part).scheme != .never
      default: continue
      }
    }
    return false
  }

  /// The components of a sequence, of sequences in it too.
  private static func leaves(_ node: JSONNode) throws -> [JSONNode] {
    guard try node.required("type").text() == "Sequence" else { return [node] }
    let list = try node.member("pretokenizers") ?? node.required("normalizers")
    return try list.elements().flatMap { try leaves($0) }
  }

  /// The name of the way text is split.
  private static func pre(_ root: JSONNode) throws -> String {
    let node = try root.required("pre_tokenizer")
    let ignoresMerges = try root.required("model").flag("ignore_merges", default: false)
    let names = try leaves(node).map { part in
      switch try part.required("type").text() {
      case "ByteLevel": return try part.flag("use_regex", default: true) ? "gpt2" : "bytes"
      case "Digits":
        return try part.flag("individual_digits", default: false) ? "digits" : "numbers"
      case "Split":
        switch try part.required("pattern").member("Regex").flatMap({
          SplitPattern(regex: try $0.text())
        }) {
        case .gpt2: return "gpt2"
        case .llama3(digits: 3): return "llama3"
        case .llama3(digits: 1): return "qwen2"
        default: return "split"
        }
      case let other: return other
      }
    }
    switch names {
    case ["gpt2"], ["gpt2", "bytes"]: return "gpt-2"
    case ["llama3", "bytes"]: return ignoresMerges ? "llama-bpe" : "dbrx"
    case ["qwen2", "bytes"]: return "qwen2"
    case ["digits", "gpt2"]: return "smollm"
    default:
      throw node.unsupported(
        "no GGUF name (tokenizer.ggml.pre) stands for this way of splitting text")
    }
  }
}

extension GGUFVocabulary {
  /// What a llama2.c vocabulary is as a GGUF vocabulary.
  public init(llama2cTokenizer path: String, vocabularySize: Int?) throws {
    let tokenizer = try Llama2CTokenizer(
      try Tokenizers.read(path), file: path, count: vocabularySize)
    self.init(model: "llama", tokens: [])
    let mark: [UInt8] = [0xE2, 0x96, 0x81]
    let specials = ["<unk>", "<s>", "</s>"].map { Array($0.utf8) }
    let entries = tokenizer.entries
    tokens = specials + entries.dropFirst(3).map { $0.token.replacing(bytes: [0x20], with: mark) }
    scores = entries.map(\.score)
    types = [2, 3, 3] + entries.dropFirst(3).map { ByteToken.byte(of: $0.token) == nil ? 1 : 6 }
    (beginningOfText, endOfText, unknown) = (1, 2, 0)
    (addsBeginning, addsEnd, addsSpace) = (true, false, true)
  }
}
