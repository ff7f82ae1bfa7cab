import Foundation
import HalftoneTokenizers
import Testing

struct Llama2CTokenizerTests {
  private static let path = GoldenFiles.root
    .appendingPathComponent("Resources/models/stories260k/llama2c/tok512.bin").path

  private func load() throws -> any Tokenizer {
    try Tokenizers.load(llama2cTokenizer: Self.path, vocabularySize: 512)
  }

  /// The same vocabulary is shipped as a tokenizer.json.
  @Test(arguments: ["wikitext2-test.txt", "tinystories-test.txt"])
  func idsOfOrdinaryTextAreThoseOfTheJSON(_ file: String) throws {
    let binary = try load()
    let json = try GoldenFiles.tokenizer("stories260k")
    let text = String(
      decoding: try GoldenFiles.bytes(
        GoldenFiles.root.appendingPathComponent("Resources/text/\(file)")), as: UTF8.self)
    let ids = binary.encode(text)
    #expect(ids == json.encode(text))
    #expect(binary.decode(ids, skippingSpecialTokens: true) == text)
  }

  /// The binary has no added tokens, so it spells them out, and it holds the space itself, so the
  /// mark U+2581 is not one.
  @Test func idsDifferOnlyForSpecialTokensAndTheSpaceMark() throws {
    let binary = try load()
    let json = try GoldenFiles.tokenizer("stories260k")
    var different = 0
    for bytes in try GoldenFiles.strings() {
      let text = String(decoding: bytes, as: UTF8.self)
      let isSpecial = ["<unk>", "<s>", "</s>", "\u{2581}"].contains { text.contains($0) }
      #expect((binary.encode(text) != json.encode(text)) == isSpecial, "\(text.debugDescription)")
      different += isSpecial ? 1 : 0
      let ids = binary.encode(text, addingSpecialTokens: false)
      #expect(binary.decode(ids, skippingSpecialTokens: false).utf8.elementsEqual(text.utf8))
    }
    #expect(different > 0)
  }

  @Test func specialTokens() throws {
    let tokenizer = try load()
    #expect(tokenizer.vocabularySize == 512)
    #expect(tokenizer.beginningOfText == 1)
    #expect(tokenizer.endOfText == 2)
    #expect(tokenizer.encode("") == [1])
    #expect(tokenizer.token(for: 1) == "\n<s>\n")
    #expect(tokenizer.token(for: 512) == nil)
    #expect(tokenizer.token(for: -1) == nil)
    #expect(tokenizer.id(for: "\n</s>\n") == 2)
    #expect(tokenizer.decode([1, 9999, 2], skippingSpecialTokens: true) == "")
  }

  /// Scores, not positions, decide: "bc" scores above "ab" here; ties go to the left.
  @Test func theBestScoreIsJoinedFirst() throws {
    let extra: [(String, Float)] = [
      (" ", -9), ("a", -9), ("b", -9), ("c", -9), ("ab", -2), ("bc", -1), ("aa", -3),
    ]
    let tokenizer = try tokenizer(extra)
    #expect(tokenizer.encode("abc", addingSpecialTokens: false) == [259, 260, 264])
    #expect(
      tokenizer.encode("aaab", addingSpecialTokens: false) == [259, 265, 260, 261].dropLast(2) + [
        263
      ])
    #expect(tokenizer.encode("aaa", addingSpecialTokens: false) == [259, 265, 260])
    #expect(tokenizer.encode("é", addingSpecialTokens: false) == [259, 3 + 0xC3, 3 + 0xA9])
  }

  private func file(_ extra: [(String, Float)]) -> [UInt8] {
    let digits = Array("0123456789ABCDEF")
    let special: [(String, Float)] = [("<unk>", 0), ("\n<s>\n", 0), ("\n</s>\n", 0)]
    let bytes = (0..<256).map { ("<0x\(digits[$0 >> 4])\(digits[$0 & 15])>", Float(0)) }
    var result = word(7)
    for (token, score) in special + bytes + extra {
      result += word(score.bitPattern) + word(UInt32(token.utf8.count)) + Array(token.utf8)
    }
    return result
  }

  private func word(_ value: UInt32) -> [UInt8] {
    [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: value >> $0) }
  }

  private func tokenizer(_ extra: [(String, Float)]) throws -> any Tokenizer {
    try withFile(file(extra)) {
      try Tokenizers.load(llama2cTokenizer: $0, vocabularySize: 259 + extra.count)
    }
  }

  private func withFile<Result>(_ bytes: [UInt8], _ body: (String) throws -> Result) throws
    -> Result
  {
    let url = FileManager.default.temporaryDirectory
      .appendingPathComponent("halftone-\(UUID().uuidString).bin")
    try Data(bytes).write(to: url)
    defer { try? FileManager.default.removeItem(at: url) }
    return try body(url.path)
  }

  @Test func damagedFilesAreRefused() throws {
    let whole = file([("a", -1)])
    var nan = whole
    nan.replaceSubrange(4..<8, with: word(Float.nan.bitPattern))
    var long = whole
    long.replaceSubrange(8..<12, with: word(0xFFFF_FFFF))
    for (bytes, count) in [
      (whole, 259), (whole, 261), (nan, 260), (long, 260), ([], 1), (word(7), 0),
      (Array(whole.dropLast()), 260),
    ] {
      let error = try withFile(bytes) { path in
        #expect(throws: TokenizerError.self) {
          try Tokenizers.load(llama2cTokenizer: path, vocabularySize: count)
        }
      }
      #expect(error?.code == .malformed)
    }
    let missing = #expect(throws: TokenizerError.self) {
      try Tokenizers.load(llama2cTokenizer: "/nowhere/tok.bin", vocabularySize: 1)
    }
    #expect(missing?.code == .missing)
  }
}
