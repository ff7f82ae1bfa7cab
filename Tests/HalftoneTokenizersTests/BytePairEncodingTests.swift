import HalftoneTokenizers
import Testing

struct BytePairEncodingTests {
  /// A random vocabulary over a few letters, as (vocabulary in order of id, merges in order).
  private struct RandomModel {
    var tokens: [String]
    var merges: [(String, String)] = []

    init(letters: String, merges count: Int, seed: UInt64) {
      var generator = SplitMix(seed: seed)
      tokens = letters.map(String.init)
      while merges.count < count {
        let left = tokens.randomElement(using: &generator) ?? ""
        let right = tokens.randomElement(using: &generator) ?? ""
        guard !merges.contains(where: { $0 == (left, right) }) else { continue }
        merges.append((left, right))
        if !tokens.contains(left + right) { tokens.append(left + right) }
      }
      merges.shuffle(using: &generator)
    }

    var json: String {
      let vocabulary = tokens.enumerated().map { "\"\($1)\":\($0)" }.joined(separator: ",")
      let merges = merges.map { "[\"\($0)\",\"\($1)\"]" }.joined(separator: ",")
      return "{\"model\":{\"type\":\"BPE\",\"vocab\":{\(vocabulary)},\"merges\":[\(merges)]}}"
    }

    /// The definition, word for word: the first merge of the list that occurs anywhere is applied
    /// to its leftmost occurrence, until none occurs.
    func naive(_ text: String) -> [Int] {
      var parts = text.map(String.init)
      while let place = merges.lazy.compactMap({ merge in
        parts.indices.dropLast().first { (parts[$0], parts[$0 + 1]) == merge }
      }).first {
        parts[place] += parts[place + 1]
        parts.remove(at: place + 1)
      }
      return parts.compactMap(tokens.firstIndex)
    }
  }

  /// Lengths on both sides of 32, where the heap takes over from the scan, and letters that no
  /// merge joins, where the text is cut.
  @Test(arguments: 0..<60)
  func idsFollowTheDefinition(_ seed: Int) throws {
    let model = RandomModel(letters: "abcd", merges: 1 + seed % 12, seed: UInt64(seed))
    let tokenizer = try Tokenizers.load(json: Array(model.json.utf8), file: "f")
    var generator = SplitMix(seed: UInt64(seed) + 1000)
    for length in [0, 1, 2, 5, 31, 32, 33, 34, 100, 200] {
      let letters = (0..<length).map { _ in "aaabbcd".randomElement(using: &generator) ?? "a" }
      let text = String(letters)
      #expect(tokenizer.encode(text) == model.naive(text), "\(model.merges) \(text)")
    }
  }

  /// Pairs "aa" join from the left, then pairs of pairs: 1000 = 4·250.
  @Test func longRunsMergeFromTheLeft() throws {
    let json = #"{"model":{"vocab":{"a":0,"aa":1,"aaaa":2},"merges":["a a","aa aa"]}}"#
    let tokenizer = try Tokenizers.load(json: Array(json.utf8), file: "f")
    #expect(
      tokenizer.encode(String(repeating: "a", count: 1003)) == [Int](repeating: 2, count: 250) + [
        1, 0,
      ])
  }

  @Test func composedAndDecomposedTokensAreDifferent() throws {
    let json =
      "{\"model\":{\"vocab\":{\"\u{e9}\":0,\"e\":1,\"\u{301}\":2,\"e\u{301}\":3},"
      + "\"merges\":[[\"e\",\"\u{301}\"]]}}"
    let tokenizer = try Tokenizers.load(json: Array(json.utf8), file: "f")
    #expect(tokenizer.encode("\u{e9}e\u{301}") == [0, 3])
    #expect(tokenizer.id(for: "\u{e9}") == 0)
    #expect(tokenizer.id(for: "e\u{301}") == 3)
    #expect(tokenizer.token(for: 3).map { Array($0.utf8) } == [0x65, 0xCC, 0x81])
  }

  @Test func unknownCharactersWithoutAnUnknownTokenAreLeftOut() throws {
    let json = #"{"model":{"vocab":{"a":0,"b":1},"merges":[]}}"#
    let tokenizer = try Tokenizers.load(json: Array(json.utf8), file: "f")
    #expect(tokenizer.encode("a?b") == [0, 1])
  }
}
