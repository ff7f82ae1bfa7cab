extension BytePairEncoding {
  /// Reads the `model` member of a tokenizer.json.
  init(_ node: JSONNode) throws {
    let type = try node.member("type")?.text() ?? "BPE"
    guard type == "BPE" else {
      throw node.unsupported("model '\(type)' is not supported; supported: BPE")
    }
    for name in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let affix = try node.member(name), try !affix.bytes().isEmpty {
        throw affix.unsupported("'\(name)' is not supported; supported: null")
      }
    }
    if let dropout = try node.member("dropout"), dropout.value != .integer(0),
      dropout.value != .number(0)
    {
      throw dropout.unsupported("dropout makes encoding random; supported: null or 0")
    }
    vocabulary = try Self.vocabulary(try node.required("vocab"))
    merges = try Self.merges(try node.required("merges"), vocabulary)
    scalars = ScalarTable(vocabulary)
    fusesUnknown = try node.flag("fuse_unk", default: false)
    ignoresMerges = try node.flag("ignore_merges", default: false)
    if try node.flag("byte_fallback", default: false) {
      byteIDs = (UInt8.min...UInt8.max).map { [vocabulary] byte in
        vocabulary[ByteString(ByteToken.spelling(of: byte))] ?? -1
      }
    }
    if let name = try node.member("unk_token") {
      guard let id = vocabulary[ByteString(try name.bytes())] else {
        throw TokenizerError(
          .inconsistent, "unk_token '\(try name.text())' is not in the vocabulary", at: name.place)
      }
      unknown = id
    }
    seams = Self.seams(merges, symbols: initialSymbols)
  }

  /// Every id that a character can start as.
  var initialSymbols: [Int32] {
    scalars.ids + (byteIDs ?? []).filter { $0 >= 0 } + (unknown.map { [$0] } ?? [])
  }

  private static func vocabulary(_ node: JSONNode) throws -> [ByteString: Int32] {
    var vocabulary: [ByteString: Int32] = [:]
    let members = try node.members()
    vocabulary.reserveCapacity(members.count)
    var taken: Set<Int> = []
    for member in members {
      let key = ByteString(member.key)
      guard case .integer(let id) = member.value, id >= 0, id <= Int(Int32.max) else {
        throw node.malformed("the id of '\(key.text)' is not between 0 and \(Int32.max)")
      }
      guard taken.insert(id).inserted else {
        throw TokenizerError(
          .inconsistent, "id \(id) belongs to '\(key.text)' and to another token", at: node.place)
      }
      vocabulary[key] = Int32(id)
    }
    return vocabulary
  }

  private static func merges(
    _ node: JSONNode, _ vocabulary: [ByteString: Int32]
  ) throws -> [UInt64: Merge] {
    guard case .array(let values) = node.value else {
      throw node.malformed("expected an array, found \(node.value.kind)")
    }
    guard values.count < Int(Int32.max) else { throw node.malformed("too many merges") }
    var merges: [UInt64: Merge] = [:]
    merges.reserveCapacity(values.count)
    var rank: UInt32 = 0
    for (index, value) in values.enumerated() {
      let place = JSONNode(value: .null, path: "\(node.path)[\(index)]", file: node.file)
      guard let (left, right) = try parts(of: value, place) else { continue }
      func id(_ token: [UInt8]) throws -> Int32 {
        let key = ByteString(token)
        if let id = vocabulary[key] { return id }
        throw TokenizerError(
          .inconsistent, "token '\(key.text)' of a merge is not in the vocabulary",
          at: place.place)
      }
      let pair = Self.pair(try id(left), try id(right))
      merges[pair] = Merge(rank: rank, id: try id(left + right))
      rank += 1
    }
    return merges
  }

  /// The two tokens of a merge, `"a b"` or `["a", "b"]`; nil for a version line.
  private static func parts(
    of value: JSONValue, _ place: @autoclosure () -> JSONNode
  ) throws -> ([UInt8], [UInt8])? {
    switch value {
    case .array(let pair):
      if pair.count == 2, case .string(let left) = pair[0], case .string(let right) = pair[1] {
        return (left, right)
      }
    case .string(let line):
      if line.matches(Array("#version".utf8), at: 0) { return nil }
      let pair = line.split(separator: 0x20, omittingEmptySubsequences: false)
      if pair.count == 2 { return (Array(pair[0]), Array(pair[1])) }
    default: break
    }
    throw place().malformed("a merge is a string of two tokens with one space, or two strings")
  }

  /// The pairs of characters that some merge can join, or nil when a token can be made from
  /// different first or last characters, where the argument for cutting fails.
  static func seams(_ merges: [UInt64: Merge], symbols: [Int32]) -> Set<UInt64>? {
    var edges: [Int32: (first: Int32, last: Int32)] = [:]
    for symbol in symbols { edges[symbol] = (symbol, symbol) }
    let ordered = merges.sorted { $0.value.rank < $1.value.rank }
    var waiting = ordered.map { (pair: $0.key, id: $0.value.id) }
    var seams: Set<UInt64> = []
    while !waiting.isEmpty {
      var later: [(pair: UInt64, id: Int32)] = []
      for merge in waiting {
        guard let left = edges[Int32(truncatingIfNeeded: merge.pair >> 32)],
          let right = edges[Int32(truncatingIfNeeded: merge.pair)]
        else {
          later.append(merge)
          continue
        }
        let edge = edges[merge.id] ?? (left.first, right.last)
        guard edge == (left.first, right.last) else { return nil }
        edges[merge.id] = edge
        seams.insert(pair(left.last, right.first))
      }
      // What is left after a pass without progress can never be built from characters.
      if later.count == waiting.count { break }
      waiting = later
    }
    return seams
  }
}
