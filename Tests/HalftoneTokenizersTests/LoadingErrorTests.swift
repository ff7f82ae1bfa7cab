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

  /// Chains that double or triple the text at each step would fill the memory when encoding.
  @Test(arguments: [
    ("normalizer", "normalizers", #"{"type":"Replace","pattern":{"String":"a"},"content":"aa"}"#),
    ("pre_tokenizer", "pretokenizers", #"{"type":"ByteLevel"}"#),
    ("decoder", "decoders", #"{"type":"Replace","pattern":{"String":"a"},"content":"aaa"}"#),
  ])
  func chainsThatGrowTextAreRefused(_ member: String, _ list: String, _ step: String) {
    let chain = [String](repeating: step, count: 40).joined(separator: ",")
    let error = error(
      "{\(model),\"\(member)\":{\"type\":\"Sequence\",\"\(list)\":[\(chain)]}}")
    #expect(error?.code == .unsupported)
    #expect(error?.place == "tokenizer.json $.\(member)")
  }

  @Test func templatesThatRepeatTheTextAreRefused() {
    let part = #"{"Sequence":{"id":"A","type_id":0}}"#
    let template =
      #"{"type":"TemplateProcessing","single":[\#(part),\#(part)],"special_tokens":{}}"#
    let error = error("{\(model),\"post_processor\":\(template)}")
    #expect(error?.code == .unsupported)
    #expect(error?.place == "tokenizer.json $.post_processor.single")
  }

  /// Small changes of a valid file either load or throw the module's error, and what loads encodes.
  @Test(arguments: ["gpt2", "metaspace", "gemma"])
  func mutatedFilesNeverCrash(_ name: String) throws {
    let path = GoldenFiles.folder.appendingPathComponent("Tokenizers/\(name)/tokenizer.json")
    let original = try GoldenFiles.bytes(path)
    let words = words(of: original)
    var generator = SplitMix(seed: 1)
    var loaded = 0
    var refused = 0
    for _ in 0..<800 {
      let json =
        Bool.random(using: &generator)
        ? mutate(original, using: &generator) : swapWords(original, words, using: &generator)
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
    #expect(loaded > 50)
    #expect(refused > 100)
  }

  /// The strings, numbers and words of a document, in order.
  private func words(of json: [UInt8]) -> [Range<Int>] {
    var words: [Range<Int>] = []
    var start = 0
    while start < json.count {
      var end = start + 1
      if json[start] == UInt8(ascii: "\"") {
        while json[end] != UInt8(ascii: "\"") { end += json[end] == UInt8(ascii: "\\") ? 2 : 1 }
        end += 1
      } else if !"{}[]:,\n".utf8.contains(json[start]) {
        while !"{}[]:,\n".utf8.contains(json[end]) { end += 1 }
      } else {
        start = end
        continue
      }
      words.append(start..<end)
      start = end
    }
    return words
  }

  /// Puts a word in the place of another, which stays JSON more often than changes of bytes.
  private func swapWords(
    _ json: [UInt8], _ words: [Range<Int>], using generator: inout SplitMix
  ) -> [UInt8] {
    // Most of the file is vocabulary; half of the changes go to the components before it.
    let places = Bool.random(using: &generator) ? words[...] : words.prefix(300)
    guard let place = places.randomElement(using: &generator),
      let word = words.prefix(400).randomElement(using: &generator)
    else { return json }
    return Array(json[..<place.lowerBound] + json[word] + json[place.upperBound...])
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
