/// A strict parser of RFC 8259 JSON over bytes, with limits on depth.
package struct JSONParser {
  /// Tokenizer files nest about six deep; the limit keeps hostile input off the stack's end.
  private static let deepest = 64

  private let bytes: [UInt8]
  private let file: String
  private var index = 0

  /// Parses a whole document; `file` names it in messages.
  ///
  /// - Throws: ``TokenizerError`` with the byte offset, also for duplicate keys.
  package static func parse(_ bytes: [UInt8], file: String) throws -> JSONValue {
    var parser = JSONParser(bytes: bytes, file: file)
    let value = try parser.value(depth: 0)
    parser.skipSpace()
    guard parser.index == bytes.count else { throw parser.error("text after the document") }
    return value
  }

  private init(bytes: [UInt8], file: String) {
    self.bytes = bytes
    self.file = file
  }

  private func error(_ message: String) -> TokenizerError {
    TokenizerError(.malformed, "not valid JSON: \(message)", at: "\(file) byte \(index)")
  }

  private var current: UInt8? { index < bytes.count ? bytes[index] : nil }

  private mutating func skipSpace() {
    while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      index += 1
    }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard current == byte else { return false }
    index += 1
    return true
  }

  private mutating func value(depth: Int) throws -> JSONValue {
    guard depth < Self.deepest else { throw error("nested deeper than \(Self.deepest)") }
    skipSpace()
    switch current {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case nil: throw error("the document ends where a value should be")
    default: return try number()
    }
  }

  private mutating func word(_ word: String, _ value: JSONValue) throws -> JSONValue {
    guard bytes.matches(Array(word.utf8), at: index) else { throw error("unknown word") }
    index += word.utf8.count
    return value
  }

  private mutating func array(depth: Int) throws -> JSONValue {
    index += 1
    var values: [JSONValue] = []
    skipSpace()
    if take(UInt8(ascii: "]")) { return .array(values) }
    repeat {
      values.append(try value(depth: depth + 1))
      skipSpace()
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "]")) else { throw error("expected ',' or ']'") }
    return .array(values)
  }

  private mutating func object(depth: Int) throws -> JSONValue {
    index += 1
    var members: [JSONMember] = []
    var keys: Set<ByteString> = []
    skipSpace()
    if take(UInt8(ascii: "}")) { return .object(members) }
    repeat {
      skipSpace()
      guard current == UInt8(ascii: "\"") else { throw error("expected a key") }
      let key = try string()
      guard keys.insert(ByteString(key)).inserted else {
        throw error("duplicate key '\(ByteString(key).text)'")
      }
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw error("expected ':'") }
      members.append(JSONMember(key: key, value: try value(depth: depth + 1)))
      skipSpace()
    } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "}")) else { throw error("expected ',' or '}'") }
    return .object(members)
  }
}

// Numbers and strings.
extension JSONParser {
  private mutating func digits() throws {
    let start = index
    while let byte = current, byte >= 0x30, byte <= 0x39 { index += 1 }
    guard index > start else { throw error("expected a digit") }
  }

  private mutating func number() throws -> JSONValue {
    let start = index
    _ = take(UInt8(ascii: "-"))
    let first = current
    let lead = index
    try digits()
    guard first != UInt8(ascii: "0") || index == lead + 1 else { throw error("leading zero") }
    var isInteger = true
    if take(UInt8(ascii: ".")) {
      isInteger = false
      try digits()
    }
    if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
      isInteger = false
      index += 1
      if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { index += 1 }
      try digits()
    }
    let text = String(decoding: bytes[start..<index], as: UTF8.self)
    if isInteger, let integer = Int(text) { return .integer(integer) }
    guard let number = Double(text) else { throw error("not a number") }
    return .number(number)
  }

  private mutating func string() throws -> [UInt8] {
    index += 1
    var result: [UInt8] = []
    while true {
      let start = index
      while let byte = current, byte != 0x22, byte != 0x5C, byte >= 0x20 { index += 1 }
      let run = bytes[start..<index]
      guard String(validating: run, as: UTF8.self) != nil else { throw error("invalid UTF-8") }
      result += run
      switch current {
      case 0x22:
        index += 1
        return result
      case 0x5C:
        index += 1
        try escape(into: &result)
      case nil: throw error("unterminated string")
      default: throw error("control character in a string")
      }
    }
  }

  private mutating func escape(into result: inout [UInt8]) throws {
    guard let byte = current else { throw error("unterminated string") }
    index += 1
    switch byte {
    case 0x22, 0x5C, 0x2F: result.append(byte)
    case UInt8(ascii: "b"): result.append(0x08)
    case UInt8(ascii: "f"): result.append(0x0C)
    case UInt8(ascii: "n"): result.append(0x0A)
    case UInt8(ascii: "r"): result.append(0x0D)
    case UInt8(ascii: "t"): result.append(0x09)
    case UInt8(ascii: "u"): result += Array(String(try escapedScalar()).utf8)
    default: throw error("unknown escape")
    }
  }

  private mutating func escapedScalar() throws -> Unicode.Scalar {
    let high = try hexadecimal()
    if let scalar = Unicode.Scalar(high) { return scalar }
    guard high < 0xDC00, take(0x5C), take(UInt8(ascii: "u")) else {
      throw error("lone surrogate")
    }
    let low = try hexadecimal()
    guard low >= 0xDC00, low < 0xE000,
      let scalar = Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
    else { throw error("lone surrogate") }
    return scalar
  }

  private mutating func hexadecimal() throws -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw error("expected four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      index += 1
    }
    return value
  }
}
