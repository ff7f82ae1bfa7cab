import Foundation
import HalftoneTokenizers
import Testing

struct LoadingErrorTests {
  private func error(_ json: String) -> TokenizerError? {
    #expect(throws: TokenizerError.self) {
      try Tokenizers.load(json: Array(json.utf8), file: "tokenizer.json")
    }
  }

  private let model = #""model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}"#

  /// Member, its value, the code, the path, and a word that the message must hold.
  @Test(arguments: [
    ("normalizer", #"{"type":"Lowercase"}"#, "$.normalizer", "Lowercase"),
    (
      "normalizer", #"{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"NFKC"}]}"#,
      "$.normalizer.normalizers[1]", "NFKC"
    ),
    (
      "normalizer", #"{"type":"Replace","pattern":{"Regex":"x+"},"content":"y"}"#,
      "$.normalizer.pattern", "x+"
    ),
    ("pre_tokenizer", #"{"type":"BertPreTokenizer"}"#, "$.pre_tokenizer", "Metaspace"),
    (
      "pre_tokenizer",
      #"{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\d"},"#
        + #""behavior":"Isolated","invert":false}]}"#,
      "$.pre_tokenizer.pretokenizers[0].pattern.Regex", #"'\d'"#
    ),
    (
      "pre_tokenizer", #"{"type":"Split","pattern":{"String":"x"},"behavior":"Odd"}"#,
      "$.pre_tokenizer.behavior", "Isolated"
    ),
    ("post_processor", #"{"type":"BertProcessing"}"#, "$.post_processor", "TemplateProcessing"),
    ("decoder", #"{"type":"WordPiece"}"#, "$.decoder", "ByteFallback"),
  ])
  func unknownComponentsAreNamed(_ member: String, _ value: String, _ path: String, _ word: String)
  {
    let error = error("{\(model),\"\(member)\":\(value)}")
    #expect(error?.code == .unsupported)
    #expect(error?.place == "tokenizer.json \(path)")
    #expect(error?.message.contains(word) == true)
    #expect(error?.message.contains("supported") == true)
  }

  @Test(arguments: [
    (#"{"type":"Unigram","vocab":[]}"#, TokenizerError.Code.unsupported, "$.model"),
    (
      #"{"vocab":{"a":0},"merges":[],"dropout":0.1}"#, .unsupported, "$.model.dropout"
    ),
    (
      #"{"vocab":{"a":0},"merges":[],"end_of_word_suffix":"</w>"}"#, .unsupported,
      "$.model.end_of_word_suffix"
    ),
    (#"{"vocab":{"a":0}}"#, .malformed, "$.model"),
    (#"{"vocab":{"a":-1},"merges":[]}"#, .malformed, "$.model.vocab"),
    (#"{"vocab":{"a":4294967296},"merges":[]}"#, .malformed, "$.model.vocab"),
    (#"{"vocab":{"a":"0"},"merges":[]}"#, .malformed, "$.model.vocab"),
    (#"{"vocab":{"a":0,"b":0},"merges":[]}"#, .inconsistent, "$.model.vocab"),
    (#"{"vocab":{"a":0,"b":1},"merges":["a b"]}"#, .inconsistent, "$.model.merges[0]"),
    (#"{"vocab":{"a":0,"aa":1},"merges":["a a","a c"]}"#, .inconsistent, "$.model.merges[1]"),
    (#"{"vocab":{"a":0},"merges":["a a a"]}"#, .malformed, "$.model.merges[0]"),
    (#"{"vocab":{"a":0},"merges":[["a"]]}"#, .malformed, "$.model.merges[0]"),
    (#"{"vocab":{"a":0},"merges":[],"unk_token":"u"}"#, .inconsistent, "$.model.unk_token"),
    (#"{"vocab":{"a":0},"merges":[],"byte_fallback":1}"#, .malformed, "$.model.byte_fallback"),
  ])
  func modelsThatCannotBeUsed(_ model: String, _ code: TokenizerError.Code, _ path: String) {
    let error = error("{\"model\":\(model)}")
    #expect(error?.code == code)
    #expect(error?.place == "tokenizer.json \(path)")
  }

  @Test func addedTokensMayNotTakeAnID() {
    let error = error(#"{\#(model),"added_tokens":[{"id":1,"content":"<x>"}]}"#)
    #expect(error?.code == .inconsistent)
    #expect(error?.place == "tokenizer.json $.added_tokens[0]")
  }

  @Test func aDirectoryWithoutFilesIsMissing() {
    let error = #expect(throws: TokenizerError.self) {
      try Tokenizers.load(directory: GoldenFiles.root.path)
    }
    #expect(error?.code == .missing)
    #expect(error?.message.contains("tokenizer.json") == true)
  }

  /// Small changes of a valid file either load or throw the module's error, and what loads encodes.
  @Test func mutatedFilesNeverCrash() throws {
    let path = GoldenFiles.folder.appendingPathComponent("Tokenizers/gpt2/tokenizer.json")
    let original = try GoldenFiles.bytes(path)
    var generator = SplitMix(seed: 1)
    var loaded = 0
    var refused = 0
    for _ in 0..<2000 {
      let json = mutate(original, using: &generator)
      do {
        let tokenizer = try Tokenizers.load(json: json, file: "f")
        let ids = tokenizer.encode("Hello <word> wörld <left> 12\n")
        _ = tokenizer.decode(ids, skippingSpecialTokens: false)
        loaded += 1
      } catch {
        #expect(error is TokenizerError)
        refused += 1
      }
    }
    #expect(loaded > 100)
    #expect(refused > 100)
  }

  private func mutate(_ original: [UInt8], using generator: inout SplitMix) -> [UInt8] {
    var bytes = original
    for _ in 0..<Int.random(in: 1...3, using: &generator) {
      // Most of the file is vocabulary; half of the changes go to the components before it.
      let end = Bool.random(using: &generator) ? bytes.count : min(bytes.count, 2200)
      let index = Int.random(in: 0..<end, using: &generator)
      switch Int.random(in: 0..<5, using: &generator) {
      case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
      case 1:
        bytes[index] = Array("0123456789{}[]\",:\\".utf8).randomElement(using: &generator) ?? 0
      case 2: bytes.removeSubrange(index..<min(index + 1 + Int(generator.next() % 8), bytes.count))
      case 3: bytes.insert(contentsOf: bytes[index..<min(index + 20, bytes.count)], at: index)
      default: bytes[index] ^= 1 << UInt8(generator.next() % 8)
      }
    }
    return bytes
  }
}
