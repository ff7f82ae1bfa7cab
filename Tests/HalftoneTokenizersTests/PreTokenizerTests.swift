import HalftoneTokenizers
import Testing

struct PreTokenizerTests {
  private struct Golden: Decodable {
    var component: String
    var pieces: [[String]]
  }

  @Test(arguments: [
    "gpt2", "gpt2-prefix", "bytes-prefix", "llama3", "llama3-removed", "qwen2", "metaspace-first",
    "metaspace-always", "metaspace-never", "digits", "digits-first", "spaces-previous",
    "spaces-contiguous", "spaces-removed",
  ])
  func piecesAreThoseOfTheReference(_ name: String) throws {
    let texts = try GoldenFiles.decode([String].self, "PreTokenizers/strings.json")
    let golden = try GoldenFiles.decode(Golden.self, "PreTokenizers/\(name).json")
    #expect(texts.count == golden.pieces.count)
    for (text, expected) in zip(texts, golden.pieces) {
      let pieces = try Tokenizers.pieces(
        of: text, preTokenizer: Array(golden.component.utf8))
      #expect(pieces.map { Array($0.utf8) } == expected.map { Array($0.utf8) }, "\(pieces)")
    }
  }
}
