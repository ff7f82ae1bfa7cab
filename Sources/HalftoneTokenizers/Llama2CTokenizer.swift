/// The vocabulary file of llama2.c: tokens with scores, merged greedily by score.
///
/// The pair whose joined text has the highest score is joined first, leftmost on ties. That is
/// byte-pair encoding with a merge for every way to cut a token in two known ones, ranked by score.
struct Llama2CTokenizer: Tokenizer {
  /// Longer tokens are refused: the number of cuts to look up grows with the square.
  private static let longestToken = 1024

  /// Pairs at or below this score are never joined.
  private static let lowestScore: Float = -1e10

  private let model: BytePairEncoding
  /// The vocabulary as the file spells it.
  let entries: [Llama2CReader.Entry]
  private let tokens: [[UInt8]]
  private let ids: [ByteString: Int32]
  let beginningOfText: Int? = 1
  let endOfText: Int? = 2

  var vocabularySize: Int { tokens.count }

  /// Reads `count` tokens, or as many as there are when it is nil.
  init(_ bytes: [UInt8], file: String, count: Int?) throws {
    var reader = Llama2CReader(bytes: bytes, file: file)
    let entries = try reader.entries(count: count, longest: Self.longestToken)
    guard entries.count >= 3 + 256 else {
      throw reader.error("\(entries.count) tokens; 3 special and 256 byte tokens must come first")
    }
    self.entries = entries
    tokens = entries.map(\.token)
    var ids: [ByteString: Int32] = [:]
    for (id, token) in tokens.enumerated() where ids[ByteString(token)] == nil {
      ids[ByteString(token)] = Int32(id)
    }
    self.ids = ids
    let merges = Self.merges(entries, ids)
    var model = BytePairEncoding(
      vocabulary: [:], merges: merges, scalars: ScalarTable(ids),
      byteIDs: (0..<256).map { Int32($0 + 3) })
    model.seams = BytePairEncoding.seams(merges, symbols: model.initialSymbols)
    self.model = model
  }

  private static func merges(
    _ entries: [Llama2CReader.Entry], _ ids: [ByteString: Int32]
  ) -> [UInt64: BytePairEncoding.Merge] {
    let scores = Set(entries.map(\.score)).sorted(by: >)
    let ranks = Dictionary(uniqueKeysWithValues: zip(scores, scores.indices.map(UInt32.init)))
    var merges: [UInt64: BytePairEncoding.Merge] = [:]
    for (token, id) in ids {
      let score = entries[Int(id)].score
      guard score > lowestScore, let rank = ranks[score] else { continue }
      for cut in 1..<max(token.bytes.count, 1) {
        guard let left = ids[ByteString(Array(token.bytes[..<cut]))],
          let right = ids[ByteString(Array(token.bytes[cut...]))]
        else { continue }
        merges[BytePairEncoding.pair(left, right)] = .init(rank: rank, id: id)
      }
    }
    return merges
  }

  func encode(_ text: String, addingSpecialTokens: Bool) -> [Int] {
    var result = addingSpecialTokens ? [1] : []
    var work = BytePairEncoding.Workspace()
    guard !text.isEmpty else { return result }
    let bytes = [0x20] + Array(text.utf8)
    model.encode(bytes[...], in: bytes, to: &result, &work)
    return result
  }

  func decode(_ ids: [Int], skippingSpecialTokens: Bool) -> String {
    var result: [UInt8] = []
    var dropsSpace = true
    for id in ids where tokens.indices.contains(id) {
      if id > 2 || !skippingSpecialTokens {
        var piece = tokens[id]
        if dropsSpace, piece.first == 0x20 { piece.removeFirst() }
        if let byte = ByteToken.byte(of: piece) { piece = [byte] }
        result += piece
      }
      dropsSpace = id == 1
    }
    return String(decoding: result, as: UTF8.self)
  }

  func token(for id: Int) -> String? {
    tokens.indices.contains(id) ? String(decoding: tokens[id], as: UTF8.self) : nil
  }

  func id(for token: String) -> Int? {
    ids[ByteString(token)].map(Int.init)
  }
}

/// Reads the little-endian records of a llama2.c vocabulary.
struct Llama2CReader {
  struct Entry {
    var token: [UInt8]
    var score: Float
  }

  let bytes: [UInt8]
  let file: String
  var index = 0

  func error(_ message: String) -> TokenizerError {
    TokenizerError(.malformed, message, at: "\(file) byte \(index)")
  }

  private mutating func word() throws -> UInt32 {
    guard bytes.count - index >= 4 else { throw error("the file ends inside a record") }
    defer { index += 4 }
    return (0..<4).reduce(0) { $0 | UInt32(bytes[index + $1]) << (8 * UInt32($1)) }
  }

  mutating func entries(count: Int?, longest: Int) throws -> [Entry] {
    _ = try word()  // The length of the longest token: a hint for buffers.
    var entries: [Entry] = []
    while count.map({ entries.count < $0 }) ?? (index < bytes.count) {
      let score = Float(bitPattern: try word())
      guard !score.isNaN else { throw error("the score of token \(entries.count) is not a number") }
      let length = Int(try word())
      guard length <= longest, length <= bytes.count - index else {
        throw error("token \(entries.count) of \(length) bytes; the file or the limit is shorter")
      }
      entries.append(Entry(token: Array(bytes[index..<index + length]), score: score))
      index += length
    }
    guard index == bytes.count else {
      throw error("\(bytes.count - index) bytes follow the \(entries.count) tokens asked for")
    }
    return entries
  }
}
