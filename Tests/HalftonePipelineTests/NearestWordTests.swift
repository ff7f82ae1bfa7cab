import HalftonePipeline
import Testing

@Suite struct NearestWordTests {
  /// Counted by hand: insertions, deletions, substitutions and swaps of neighbours cost one each.
  @Test(arguments: [
    ("", "", 0), ("a", "", 1), ("grup", "group", 1), ("gtpq", "gptq", 1), ("kitten", "sitting", 3),
    ("Bits", "bits", 0), ("steps", "step", 1),
  ])
  func distances(_ first: String, _ second: String, _ expected: Int) {
    #expect(NearestWord.distance(first, second) == expected)
    #expect(NearestWord.distance(second, first) == expected)
  }

  @Test func farWordsAreNotSuggested() {
    #expect(NearestWord.of("dampening", in: ["damping", "act-order"]) == "damping")
    #expect(NearestWord.of("zzzzzzzz", in: ["damping", "act-order"]) == nil)
    #expect(NearestWord.of("x", in: [String]()) == nil)
  }
}
