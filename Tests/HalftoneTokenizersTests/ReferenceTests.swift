import Foundation
import HalftoneTokenizers
import Testing

/// Ids and texts against Hugging Face tokenizers 0.23.3.
struct ReferenceTests {
  @Test(arguments: GoldenFiles.shipped + GoldenFiles.fixtures)
  func stringsGiveTheSameIDsAndTexts(_ name: String) throws {
    let tokenizer = try GoldenFiles.tokenizer(name)
    let strings = try GoldenFiles.strings()
    let cases = try GoldenFiles.decode([EncodingCase].self, "Cases/\(name).json")
    #expect(strings.count == cases.count)
    for (bytes, expected) in zip(strings, cases) {
      let text = String(decoding: bytes, as: UTF8.self)
      let shown = text.debugDescription
      #expect(tokenizer.encode(bytes: bytes) == expected.ids, "\(shown)")
      #expect(tokenizer.encode(text) == expected.ids, "\(shown)")
      #expect(tokenizer.encode(text, addingSpecialTokens: false) == expected.plain, "\(shown)")
      let decoded = tokenizer.decode(expected.ids, skippingSpecialTokens: false)
      #expect(Array(decoded.utf8) == Array(expected.decoded.utf8), "\(shown)")
      let skipping = tokenizer.decode(expected.ids, skippingSpecialTokens: true)
      #expect(Array(skipping.utf8) == Array(expected.skipping.utf8), "\(shown)")
    }
  }

  @Test(arguments: GoldenFiles.shipped + GoldenFiles.fixtures)
  func wikitextGivesTheSameIDs(_ name: String) throws {
    let tokenizer = try GoldenFiles.tokenizer(name)
    let records = try GoldenFiles.decode([String: CorpusRecord].self, "corpora.json")
    let expected = try #require(records[name])
    let bytes = try GoldenFiles.bytes(GoldenFiles.wikitext)
    let ids = tokenizer.encode(bytes: bytes)
    #expect(ids.count == expected.count)
    #expect(Array(ids.prefix(8)) == expected.first)
    #expect(Array(ids.suffix(8)) == expected.last)
    #expect(fnv(ids) == expected.fnv)
    let decoded = tokenizer.decode(ids, skippingSpecialTokens: true)
    #expect((Array(decoded.utf8) == bytes) == expected.decodesToItself)
  }
}
