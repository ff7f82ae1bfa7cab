/// Where a JSON text goes wrong.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The byte at which reading stopped.
  public let offset: Int
  public let problem: String

  public var description: String { "\(problem) at byte \(offset)" }
}

extension JSONValue {
  /// Reads one document from UTF-8 `bytes`, with nothing but white space after it.
  ///
  /// Strict: keys are unique, nesting and the number of values are bounded, strings are valid
  /// UTF-8. The one liberty is that of Python's writer: bare `NaN`, `Infinity` and `-Infinity`.
  public init(
    parsing bytes: UnsafeRawBufferPointer, maximumDepth: Int = 128,
    maximumValues: Int = 10_000_000
  ) throws(JSONError) {
    var parser = JSONParser(bytes: bytes, depthLeft: maximumDepth, valuesLeft: maximumValues)
    self = try parser.document()
  }

  public init(parsing bytes: some Sequence<UInt8>) throws(JSONError) {
    let result = Array(bytes).withUnsafeBytes { bytes in
      Result { () throws(JSONError) in try JSONValue(parsing: bytes) }
    }
    self = try result.get()
  }

  public init(parsing text: String) throws(JSONError) { try self.init(parsing: text.utf8) }
}

/// Recursive descent over bytes.
private struct JSONParser {
  let bytes: UnsafeRawBufferPointer
  var at = 0
  var depthLeft: Int
  var valuesLeft: Int

  init(bytes: UnsafeRawBufferPointer, depthLeft: Int, valuesLeft: Int) {
    self.bytes = bytes
    self.depthLeft = depthLeft
    self.valuesLeft = valuesLeft
  }

  func failure(_ problem: String) -> JSONError { JSONError(offset: at, problem: problem) }

  var next: UInt8? { at < bytes.count ? bytes[at] : nil }

  mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
  }

  mutating func document() throws(JSONError) -> JSONValue {
    let result = try value()
    skipSpace()
    guard at == bytes.count else { throw failure("text after the document") }
    return result
  }

  mutating func value() throws(JSONError) -> JSONValue {
    skipSpace()
    guard valuesLeft > 0 else { throw failure("too many values") }
    valuesLeft -= 1
    switch next {
    case UInt8(ascii: "{"):
      return .object(try nested { parser throws(JSONError) in try parser.object() })
    case UInt8(ascii: "["):
      return .array(try nested { parser throws(JSONError) in try parser.array() })
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "N"): return try word("NaN", .number(JSONNumber(literal: "NaN")))
    case UInt8(ascii: "I"): return try word("Infinity", .number(JSONNumber(literal: "Infinity")))
    case nil: throw failure("the text ends where a value should be")
    default: return .number(try number())
    }
  }

  mutating func nested<T>(
    _ body: (inout JSONParser) throws(JSONError) -> T
  ) throws(JSONError) -> T {
    guard depthLeft > 0 else { throw failure("nested too deeply") }
    depthLeft -= 1
    at += 1
    let result = try body(&self)
    depthLeft += 1
    return result
  }

  mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
    let count = word.utf8CodeUnitCount
    guard at <= bytes.count - count,
      UnsafeRawBufferPointer(rebasing: bytes[at..<at + count])
        .elementsEqual(UnsafeRawBufferPointer(start: word.utf8Start, count: count))
    else { throw failure("unknown word") }
    at += count
    return value
  }

  /// The members after `{`.
  mutating func object() throws(JSONError) -> JSONObject {
    var result = JSONObject()
    skipSpace()
    if next == UInt8(ascii: "}") {
      at += 1
      return result
    }
    while true {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw failure("a key in quotes is missing") }
      let key = try string()
      guard result[key] == nil else { throw failure("key \"\(key.prefix(80))\" is there twice") }
      skipSpace()
      guard next == UInt8(ascii: ":") else { throw failure("a colon is missing") }
      at += 1
      result[key] = try value()
      if try ends(UInt8(ascii: "}")) { return result }
    }
  }

  /// The elements after `[`.
  mutating func array() throws(JSONError) -> [JSONValue] {
    var result: [JSONValue] = []
    skipSpace()
    if next == UInt8(ascii: "]") {
      at += 1
      return result
    }
    while true {
      result.append(try value())
      if try ends(UInt8(ascii: "]")) { return result }
    }
  }

  /// Whether the closing `bracket` follows rather than a comma.
  mutating func ends(_ bracket: UInt8) throws(JSONError) -> Bool {
    skipSpace()
    guard let byte = next, byte == bracket || byte == UInt8(ascii: ",") else {
      throw failure("a comma or closing bracket is missing")
    }
    at += 1
    return byte == bracket
  }

  mutating func number() throws(JSONError) -> JSONNumber {
    let start = at
    if next == UInt8(ascii: "-") { at += 1 }
    if next == UInt8(ascii: "I") {
      _ = try word("Infinity", .null)
      return JSONNumber(literal: "-Infinity")
    }
    if next == UInt8(ascii: "0") { at += 1 } else { try digits() }
    if next == UInt8(ascii: ".") {
      at += 1
      try digits()
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      at += 1
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { at += 1 }
      try digits()
    }
    guard at - start <= 1024 else { throw failure("number of more than 1024 characters") }
    return JSONNumber(literal: String(decoding: bytes[start..<at], as: UTF8.self))
  }

  mutating func digits() throws(JSONError) {
    let start = at
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { at += 1 }
    guard at > start else { throw failure("a digit is missing") }
  }

  mutating func string() throws(JSONError) -> String {
    at += 1
    let start = at
    while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
      at += 1
    }
    if next == UInt8(ascii: "\"") {
      defer { at += 1 }
      return try decoded(bytes[start..<at])
    }
    var unescaped = Array(bytes[start..<at])
    while let byte = next, byte != UInt8(ascii: "\"") {
      guard byte >= 0x20 else { throw failure("control character in a string") }
      at += 1
      if byte == UInt8(ascii: "\\") {
        try escape(into: &unescaped)
      } else {
        unescaped.append(byte)
      }
    }
    guard next != nil else { throw failure("the text ends inside a string") }
    at += 1
    return try decoded(unescaped)
  }

  func decoded(_ text: some Sequence<UInt8>) throws(JSONError) -> String {
    guard let string = String(validating: text, as: UTF8.self) else {
      throw failure("a string is not valid UTF-8")
    }
    return string
  }

  mutating func escape(into text: inout [UInt8]) throws(JSONError) {
    guard let byte = next else { throw failure("the text ends inside a string") }
    at += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"): text.append(contentsOf: Character(try scalar()).utf8)
    default: throw failure("unknown escape")
    }
  }

  /// The scalar of `\uXXXX`, or of a surrogate pair of them.
  mutating func scalar() throws(JSONError) -> Unicode.Scalar {
    var code = try hexadecimal()
    if (0xD800..<0xDC00).contains(code) {
      guard at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"),
        bytes[at + 1] == UInt8(ascii: "u")
      else { throw failure("half a surrogate pair") }
      at += 2
      let low = try hexadecimal()
      guard (0xDC00..<0xE000).contains(low) else { throw failure("half a surrogate pair") }
      code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
    }
    guard let scalar = Unicode.Scalar(code) else { throw failure("half a surrogate pair") }
    return scalar
  }

  mutating func hexadecimal() throws(JSONError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80
      else { throw failure("a hexadecimal digit is missing") }
      code = code << 4 | UInt32(digit)
      at += 1
    }
    return code
  }
}
