/// The tokenizer of a "llama" GGUF file: SentencePiece pieces joined by score, bytes for the rest.
///
/// Spaces are written as U+2581, and one is put before a text that follows no other. The pair whose
/// joined spelling has the highest score is joined first, leftmost on ties, as in
/// ``Llama2CTokenizer``.
struct SentencePieceTokenizer: Tokenizer {
  /// Longer tokens are not made by joining: the number of cuts grows with the square.
  private static let longestToken = 1024
  private static let mark: [UInt8] = [0xE2, 0x96, 0x81]

  private let model: BytePairEncoding
  private let matcher: AddedTokenMatcher
  private let vocabulary: GGUFVocabulary
  private let ids: [ByteString: Int32]
  private let addsBeginning: Bool
  private let addsEnd: Bool
  private let addsSpace: Bool
  let beginningOfText: Int?
  let endOfText: Int?

  var vocabularySize: Int { vocabulary.tokens.count }

  init(_ vocabulary: GGUFVocabulary, file: String) throws(TokenizerError) {
    guard let scores = vocabulary.scores, !scores.contains(where: \.isNaN) else {
      throw TokenizerError(
        .malformed, "tokenizer.ggml.scores is missing or holds NaN; convert the model again",
        at: file)
    }
    self.vocabulary = vocabulary
    ids = vocabulary.ids()
    let merges = Self.merges(vocabulary.tokens, scores, ids)
    var model = BytePairEncoding(
      vocabulary: [:], merges: merges, scalars: ScalarTable(ids), byteIDs: Self.byteIDs(ids),
      unknown: vocabulary.unknown.map { Int32($0) } ?? 0)
    model.seams = BytePairEncoding.seams(merges, symbols: model.initialSymbols)
    self.model = model
    matcher = AddedTokenMatcher(vocabulary.matchedTokens())
    let hasBoth = vocabulary.tokens.count > 2
    beginningOfText = vocabulary.beginningOfText ?? (hasBoth ? 1 : nil)
    endOfText = vocabulary.endOfText ?? (hasBoth ? 2 : nil)
    addsBeginning = vocabulary.addsBeginning ?? true
    addsEnd = vocabulary.addsEnd ?? false
    addsSpace = vocabulary.addsSpace ?? true
  }

  private static func byteIDs(_ ids: [ByteString: Int32]) -> [Int32] {
    (UInt8.min...UInt8.max).map { byte in
      ids[ByteString(ByteToken.spelling(of: byte))] ?? ids[ByteString([byte])] ?? -1
    }
  }

  private static func merges(
    _ tokens: [[UInt8]], _ scores: [Float], _ ids: [ByteString: Int32]
  ) -> [UInt64: BytePairEncoding.Merge] {
    let ordered = Set(scores).sorted(by: >)
    let ranks = Dictionary(uniqueKeysWithValues: zip(ordered, ordered.indices.map(UInt32.init)))
    var merges: [UInt64: BytePairEncoding.Merge] = [:]
    merges.reserveCapacity(tokens.count * 4)
    for (token, id) in ids where (2...longestToken).contains(token.bytes.count) {
      guard let rank = ranks[scores[Int(id)]] else { continue }
      for cut in 1..<token.bytes.count where token.bytes[cut] & 0xC0 != 0x80 {
        guard let left = ids[ByteString(Array(token.bytes[..<cut]))],
          let right = ids[ByteString(Array(token.bytes[cut...]))]
        else { continue }
        merges[BytePairEncoding.pair(left, right)] = .init(rank: rank, id: id)
      }
    }
    return merges
  }

  func encode(_ text: String, addingSpecialTokens: Bool) -> [Int] {
    let bytes = Array(text.utf8)
    var result: [Int] = []
    if addingSpecialTokens, addsBeginning, let beginningOfText { result.append(beginningOfText) }
    var work = BytePairEncoding.Workspace()
    var followsText = false
    for part in matcher.parts(of: bytes) {
      if let token = part.token {
        result.append(Int(token))
        followsText = false
        continue
      }
      let space: [UInt8] = addsSpace && !followsText ? [0x20] : []
      let marked = (space + bytes[part.range]).replacing(bytes: [0x20], with: Self.mark)
      model.encode(marked[...], in: marked, to: &result, &work)
      followsText = true
    }
    if addingSpecialTokens, addsEnd, let endOfText { result.append(endOfText) }
    return result
  }

  func decode(_ ids: [Int], skippingSpecialTokens: Bool) -> String {
    var result: [UInt8] = []
    var isFirst = true
    for id in ids where vocabulary.tokens.indices.contains(id) {
      let token = vocabulary.tokens[id]
      switch vocabulary.type(id) {
      case .control, .unknown: if !skippingSpecialTokens { result += token }
      case .userDefined: result += token
      case .byte: result += ByteToken.byte(of: token).map { [$0] } ?? token
      case .normal, .unused:
        var text = token.replacing(bytes: Self.mark, with: [0x20])
        if isFirst, addsSpace, text.first == 0x20 { text.removeFirst() }
        result += text
      }
      if ![.control, .unknown].contains(vocabulary.type(id)) { isFirst = false }
    }
    return String(decoding: result, as: UTF8.self)
  }

  func token(for id: Int) -> String? {
    vocabulary.tokens.indices.contains(id)
      ? String(decoding: vocabulary.tokens[id], as: UTF8.self) : nil
  }

  func id(for token: String) -> Int? { ids[ByteString(token)].map(Int.init) }
}
