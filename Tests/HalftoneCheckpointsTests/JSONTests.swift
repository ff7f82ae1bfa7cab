import HalftoneCheckpoints
import Testing

@Suite struct JSONTests {
  @Test func keepsOrderAndSpelling() throws {
    let text = #"{"b":1e-05,"a":[1,2.50,-0,true,null,"x"],"c":{}}"#
    let value = try JSONValue(parsing: text)
    #expect(value.serialized(indent: nil) == text)
    #expect(
      value.serialized(indent: nil, sortedKeys: true)
        == #"{"a":[1,2.50,-0,true,null,"x"],"b":1e-05,"c":{}}"#)
    #expect(
      value.serialized() == """
        {
          "b": 1e-05,
          "a": [
            1,
            2.50,
            -0,
            true,
            null,
            "x"
          ],
          "c": {}
        }
        """)
  }

  @Test func readsNumbers() throws {
    let value = try JSONValue(
      parsing: "[9223372036854775807, 4e0, 4.5, -1e-3, NaN, Infinity, -Infinity, 1e400]")
    #expect(value[0]?.int == .max)
    #expect(value[1]?.int == 4)
    #expect(value[2]?.int == nil)
    #expect(value[3]?.double == -0.001)
    #expect(value[4]?.double?.isNaN == true)
    #expect(value[5]?.double == .infinity)
    #expect(value[6]?.double == -.infinity)
    #expect(value[7]?.int == nil)
    #expect(value[8] == nil)
    #expect(try JSONValue(parsing: #"{"__float__": "-Infinity"}"#).double == -.infinity)
  }

  @Test func readsStrings() throws {
    let value = try JSONValue(parsing: #""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀""#)
    #expect(value.string == "a\"\\/\u{08}\u{0C}\n\r\t\u{E9}\u{1F600}\u{E9}\u{1F600}")
    let back = try JSONValue(parsing: value.serialized())
    #expect(back == value)
  }

  @Test(arguments: [
    "", " ", "{", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "01", "1.", ".5", "1e", "+1", "-",
    "tru", "nul", "[1 2]", "\"a", "\"\\x\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
    "\"\\u12g4\"", "\"\u{01}\"", "1 2", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "Nan",
    "-Inf", "[", "]",
  ])
  func refuses(text: String) {
    #expect(throws: JSONError.self) { _ = try JSONValue(parsing: text) }
  }

  @Test func refusesBadUTF8() {
    for bytes: [UInt8] in [
      [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
    ] {
      #expect(throws: JSONError.self) { _ = try JSONValue(parsing: bytes) }
    }
  }

  @Test func boundsDepthAndNumberOfValues() throws {
    let deep = String(repeating: "[", count: 1000) + String(repeating: "]", count: 1000)
    #expect(throws: JSONError.self) { _ = try JSONValue(parsing: deep) }
    let many = Array("[1,2,3]".utf8)
    #expect(throws: JSONError.self) {
      try many.withUnsafeBytes { _ = try JSONValue(parsing: $0, maximumValues: 3) }
    }
    let three = try many.withUnsafeBytes { try JSONValue(parsing: $0, maximumValues: 4) }
    #expect(three == [1, 2, 3])
  }

  @Test func changesMembersInPlace() throws {
    var value = try JSONValue(parsing: #"{"a":1,"b":2,"c":3}"#)
    value["b"] = "two"
    value["a"] = nil
    value["d"] = [1.5]
    #expect(value.serialized(indent: nil) == #"{"b":"two","c":3,"d":[1.5]}"#)
  }
}
