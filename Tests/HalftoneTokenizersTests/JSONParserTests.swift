import HalftoneTokenizers
import Testing

struct JSONParserTests {
  private func parse(_ text: String) throws -> JSONValue {
    try JSONParser.parse(Array(text.utf8), file: "f")
  }

  private func string(_ text: String) -> JSONValue { .string(Array(text.utf8)) }

  @Test func valuesOfEveryKind() throws {
    #expect(try parse(" null ") == .null)
    #expect(try parse("[true,false]") == .array([.bool(true), .bool(false)]))
    #expect(try parse("-12") == .integer(-12))
    #expect(try parse("2.5e-1") == .number(0.25))
    #expect(try parse("1000000000000000019884624838656") == .number(1e30))
    #expect(try parse("{}") == .object([]))
    #expect(
      try parse(#"{"a":[],"b":{"c":0}}"#)
        == .object([
          JSONMember("a", .array([])), JSONMember("b", .object([JSONMember("c", .integer(0))])),
        ]))
  }

  @Test func escapes() throws {
    #expect(
      try parse(#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude42""#) == string("\"\\/\u{8}\u{c}\n\r\té🙂"))
  }

  /// Swift's own dictionaries of strings would hold one of the two.
  @Test func canonicallyEquivalentKeysStayApart() throws {
    let value = try parse("{\"\u{e9}\":1,\"e\u{301}\":2}")
    #expect(
      value
        == .object([
          JSONMember("\u{e9}", .integer(1)), JSONMember("e\u{301}", .integer(2)),
        ]))
  }

  @Test(arguments: [
    "", "[", "[1,]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "01", "1.", "-", "+1", "1e", "nul", "NaN",
    "\"a", "\"\u{1}\"", #""\x""#, #""\u12""#, #""\ud800""#, #""\ud800\u0041""#, #""\udc00""#,
    "1 2", "{\"a\":1,\"a\":2}",
  ])
  func malformedTextIsAnErrorThatNamesTheByte(_ text: String) {
    let error = #expect(throws: TokenizerError.self) { try parse(text) }
    #expect(error?.code == .malformed)
    #expect(error?.place.hasPrefix("f byte ") == true)
  }

  @Test func invalidUTF8IsAnError() {
    #expect(throws: TokenizerError.self) { try JSONParser.parse([0x22, 0xC3, 0x22], file: "f") }
  }

  @Test func depthIsLimited() throws {
    let open = String(repeating: "[", count: 63)
    let close = String(repeating: "]", count: 63)
    _ = try parse(open + "1" + close)
    #expect(throws: TokenizerError.self) { try parse("[" + open + "1" + close + "]") }
    #expect(throws: TokenizerError.self) { try parse(String(repeating: "[", count: 1_000_000)) }
  }
}

extension JSONMember {
  init(_ key: String, _ value: JSONValue) {
    self.init(key: Array(key.utf8), value: value)
  }
}
