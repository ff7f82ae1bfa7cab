import HalftoneTokenizers
import Testing

struct TokenizerTests {
  @Test(arguments: [("books-7m", 4096, 0, 1), ("stories260k", 512, 1, 2)])
  func shippedTokenizersNameTheirBoundaries(
    _ name: String, _ size: Int, _ beginning: Int, _ end: Int
  ) throws {
    let tokenizer = try GoldenFiles.tokenizer(name)
    #expect(tokenizer.vocabularySize == size)
    #expect(tokenizer.beginningOfText == beginning)
    #expect(tokenizer.endOfText == end)
  }

  @Test(arguments: GoldenFiles.shipped + GoldenFiles.fixtures)
  func everyTokenHasItsID(_ name: String) throws {
    let tokenizer = try GoldenFiles.tokenizer(name)
    for id in 0..<tokenizer.vocabularySize {
      let token = try #require(tokenizer.token(for: id))
      #expect(tokenizer.id(for: token) == id)
    }
    for id in [-1, tokenizer.vocabularySize, Int.max, Int.min] {
      #expect(tokenizer.token(for: id) == nil)
      #expect(tokenizer.decode([id], skippingSpecialTokens: false) == "")
    }
    #expect(tokenizer.id(for: "no such token") == nil)
  }

  @Test(
    arguments: [
      (#"{"bos_token":{"content":"b"},"eos_token":"a"}"#, 1, 0), ("{}", nil, 2),
      (#"{"bos_token":null,"eos_token":"absent"}"#, nil, 2),
    ] as [(String, Int?, Int?)])
  func boundariesComeFromTheConfigurationElseFromTheirNames(
    _ configuration: String, _ beginning: Int?, _ end: Int?
  ) throws {
    let json = #"{"model":{"vocab":{"a":0,"b":1,"</s>":2},"merges":[]}}"#
    let tokenizer = try Tokenizers.load(
      json: Array(json.utf8), file: "f", configuration: Array(configuration.utf8))
    #expect(tokenizer.beginningOfText == beginning)
    #expect(tokenizer.endOfText == end)
  }

  @Test(arguments: [
    ("Removed", [[0], [0, 0], []]), ("Isolated", [[0], [1], [0, 0], [1], [1]]),
  ])
  func splitsWithoutADecoderAreJoinedBySpaces(_ behavior: String, _ parts: [[Int]]) throws {
    let json = """
      {"pre_tokenizer":{"type":"Split","pattern":{"String":"-"},"behavior":"\(behavior)",
      "invert":false},"model":{"vocab":{"a":0,"-":1},"merges":[]}}
      """
    let tokenizer = try Tokenizers.load(json: Array(json.utf8), file: "f")
    let ids = tokenizer.encode("a-aa--")
    #expect(ids == parts.flatMap { $0 })
    let words = ids.map { $0 == 0 ? "a" : "-" }
    #expect(tokenizer.decode(ids, skippingSpecialTokens: false) == words.joined(separator: " "))
  }

  /// A whole piece in the vocabulary is taken at once, so the ids show where a text was cut.
  @Test(arguments: [
    ("Removed", false, ["a", "a", "b"]), ("Removed", true, ["-", "-", "-"]),
    ("Isolated", false, ["a", "-", "a", "-", "-", "b"]),
    ("MergedWithPrevious", false, ["a-", "a-", "-", "b"]),
    ("MergedWithNext", false, ["a", "-a", "-", "-b"]),
    ("Contiguous", false, ["a", "-", "a", "--", "b"]),
  ])
  func splitBehaviors(_ behavior: String, _ inverted: Bool, _ pieces: [String]) throws {
    let vocabulary = ["a", "b", "-", "a-", "-a", "-b", "--"]
    let entries = vocabulary.enumerated().map { "\"\($1)\":\($0)" }.joined(separator: ",")
    let json = """
      {"pre_tokenizer":{"type":"Split","pattern":{"String":"-"},"behavior":"\(behavior)",
      "invert":\(inverted)},
      "model":{"ignore_merges":true,"vocab":{\(entries)},"merges":[]}}
      """
    let tokenizer = try Tokenizers.load(json: Array(json.utf8), file: "f")
    #expect(tokenizer.encode("a-a--b").compactMap(tokenizer.token) == pieces)
  }
}
