import HalftoneTokenizers
import Testing

struct StreamingDecoderTests {
  /// The pieces add up to the text, and no piece ends inside a character.
  @Test(arguments: GoldenFiles.shipped + ["llama3", "qwen2", "llama2", "gemma"])
  func piecesAddUpToTheText(_ name: String) throws {
    let tokenizer = try GoldenFiles.tokenizer(name)
    for bytes in try GoldenFiles.strings() {
      let ids = tokenizer.encode(bytes: bytes)
      var decoder = StreamingDecoder(tokenizer)
      var text = ""
      for id in ids { text += decoder.append(id) }
      text += decoder.finish()
      let whole = tokenizer.decode(ids, skippingSpecialTokens: true)
      #expect(text.utf8.elementsEqual(whole.utf8), "\(whole.debugDescription)")
    }
  }

  @Test func charactersAppearWhole() throws {
    let tokenizer = try GoldenFiles.tokenizer("stories260k")
    var decoder = StreamingDecoder(tokenizer)
    let ids = tokenizer.encode("é🙂", addingSpecialTokens: false)
    #expect(ids.count == 1 + 1 + 4)
    #expect(ids.map { decoder.append($0) } == ["", "é", "", "", "", "🙂"])
  }

  @Test func aContextKeepsTheSpaceOfTheFirstWord() throws {
    let tokenizer = try GoldenFiles.tokenizer("stories260k")
    let ids = tokenizer.encode("Once upon", addingSpecialTokens: false)
    let space = try #require(
      ids.indices.dropFirst().first { index in
        tokenizer.token(for: ids[index])?.hasPrefix("\u{2581}") == true
      })
    var decoder = StreamingDecoder(tokenizer, after: Array(ids[..<space]))
    let rest = ids[space...].map { decoder.append($0) }.joined()
    #expect(rest == " upon")
  }

  @Test func whatNeverBecomesACharacterIsLetGo() throws {
    let tokenizer = try GoldenFiles.tokenizer("stories260k")
    var decoder = StreamingDecoder(tokenizer)
    let lead = 3 + 0xE2
    #expect(decoder.append(lead) == "")
    #expect(decoder.finish() == "\u{FFFD}")
    let pieces = (0..<16).map { _ in decoder.append(lead) }
    #expect(
      pieces == [String](repeating: "", count: 15) + [String(repeating: "\u{FFFD}", count: 16)])
  }
}
