import Foundation
import HalftoneInference
import HalftonePipeline
import HalftoneTestSupport
import HalftoneTokenizers
import Testing

@Suite struct TextGeneratorTests {
  static func generator() throws -> TextGenerator {
    let opened = try OpenedModel(path: Repository.path("Resources/models/stories260k"))
    return try TextGenerator(opened.model, tokenizer: opened.tokenizer())
  }

  /// Feeds `text` in pieces of `length` characters.
  func cut(_ text: String, _ stop: [String], by length: Int) throws -> (text: String, found: Bool) {
    var matcher = try StopStrings(stop)
    var shown = ""
    var rest = text[...]
    while !rest.isEmpty {
      shown += matcher.append(String(rest.prefix(length)))
      rest = rest.dropFirst(length)
    }
    shown += matcher.finish()
    return (shown, matcher.isFound)
  }

  @Test(arguments: [1, 2, 3, 5, 100])
  func `a text ends before the first stop string, however it is cut`(_ length: Int) throws {
    #expect(try cut("one two three", ["two"], by: length) == ("one ", true))
    #expect(try cut("one two three", ["twos", "threes"], by: length) == ("one two three", false))
    #expect(try cut("ababac", ["abac"], by: length) == ("ab", true))
    #expect(try cut("xaby", ["xaby", "ab"], by: length) == ("x", true))
    #expect(try cut("xaby", ["ab", "xab"], by: length) == ("", true))
    #expect(try cut("naïve – ended", ["– e"], by: length) == ("naïve ", true))
    #expect(try cut("naïve é", ["–", "é!"], by: length) == ("naïve é", false))
    #expect(try cut("stop", ["stop"], by: length) == ("", true))
    #expect(try cut("any", [], by: length) == ("any", false))
  }

  @Test func `what may begin a stop string is held back and no more`() throws {
    var matcher = try StopStrings(["end.", "\n\n"])
    #expect(matcher.append("the e") == "the ")
    #expect(matcher.append("n") == "")
    #expect(matcher.append("vy\n") == "envy")
    #expect(matcher.append("x") == "\nx")
    #expect(matcher.append("\n") == "")
    #expect(matcher.append("\ny") == "")
    #expect(matcher.isFound)
    #expect(matcher.append("more") == "")
    #expect(matcher.finish() == "")
    #expect(throws: GenerationError.self) { try StopStrings(["a", ""]) }
  }

  @Test func `generation ends at a stop string that spans tokens`() throws {
    let generator = try Self.generator()
    let whole = try generator.generate("Once upon a time", .init(tokens: 60))
    let cut = try #require(whole.text.range(of: "girl named L"))
    var pieces: [String] = []
    let found = try generator.generate(
      "Once upon a time", .init(tokens: 60), stop: ["girl named L"], onText: { pieces.append($0) })
    #expect(found.text == String(whole.text[..<cut.lowerBound]))
    #expect(pieces.joined() == found.text)
    #expect(found.generation.finish == .stopString)
    #expect(found.generation.ids.count < whole.generation.ids.count)
    #expect(whole.generation.ids.starts(with: found.generation.ids))
  }

  @Test func `several prompts give the texts of each alone`() throws {
    let generator = try Self.generator()
    let prompts = ["Once upon a time", "The dog", "One day, Lily"]
    var streamed = ["", "", ""]
    let together = try generator.generate(prompts, .init(tokens: 30), stop: ["."]) {
      streamed[$0] += $1
    }
    for (index, prompt) in prompts.enumerated() {
      let alone = try generator.generate(prompt, .init(tokens: 30), stop: ["."])
      #expect(together[index].text == alone.text)
      #expect(streamed[index] == alone.text)
      #expect(alone.generation.finish == .stopString)
    }
  }

  @Test func `an error of the caller ends generation`() throws {
    struct Enough: Error {}
    var count = 0
    #expect(throws: Enough.self) {
      try Self.generator().generate("Once", .init(tokens: 30)) { _ in
        count += 1
        if count == 3 { throw Enough() }
      }
    }
    #expect(count == 3)
  }
}
