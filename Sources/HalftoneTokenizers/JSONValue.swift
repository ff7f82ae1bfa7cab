/// A JSON document that keeps what Foundation's parsers lose: strings are bytes, so keys that are
/// canonically equivalent stay apart, and members keep their order.
package enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string([UInt8])
  case array([JSONValue])
  case object([JSONMember])

  /// What the value is, for messages.
  var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer, .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

/// One name and value of a JSON object.
package struct JSONMember: Equatable, Sendable {
  package var key: [UInt8]
  package var value: JSONValue

  package init(key: [UInt8], value: JSONValue) {
    self.key = key
    self.value = value
  }
}

/// A value of a document together with its path, so that messages can say where they apply.
struct JSONNode {
  var value: JSONValue
  var path: String
  var file: String

  var place: String { "\(file) \(path)" }

  func malformed(_ message: String) -> TokenizerError {
    TokenizerError(.malformed, message, at: place)
  }

  func unsupported(_ message: String) -> TokenizerError {
    TokenizerError(.unsupported, message, at: place)
  }

  /// The member of this name; nil when it is absent or null.
  func member(_ name: String) throws -> JSONNode? {
    guard case .object(let members) = value else {
      throw malformed("expected an object, found \(value.kind)")
    }
    guard let member = members.first(where: { $0.key.elementsEqual(name.utf8) }) else { return nil }
    if case .null = member.value { return nil }
    return JSONNode(value: member.value, path: "\(path).\(name)", file: file)
  }

  func required(_ name: String) throws -> JSONNode {
    guard let node = try member(name) else { throw malformed("member '\(name)' is missing") }
    return node
  }

  func bytes() throws -> [UInt8] {
    guard case .string(let bytes) = value else {
      throw malformed("expected a string, found \(value.kind)")
    }
    return bytes
  }

  func text() throws -> String { String(decoding: try bytes(), as: UTF8.self) }

  func integer() throws -> Int {
    guard case .integer(let integer) = value else {
      throw malformed("expected an integer, found \(value.kind)")
    }
    return integer
  }

  /// A token id or a small count: from 0 to 2³¹ − 1.
  func index() throws -> Int {
    let integer = try integer()
    guard integer >= 0, integer <= Int(Int32.max) else {
      throw malformed("\(integer) is not between 0 and \(Int32.max)")
    }
    return integer
  }

  func elements() throws -> [JSONNode] {
    guard case .array(let values) = value else {
      throw malformed("expected an array, found \(value.kind)")
    }
    return values.enumerated().map { index, value in
      JSONNode(value: value, path: "\(path)[\(index)]", file: file)
    }
  }

  func members() throws -> [JSONMember] {
    guard case .object(let members) = value else {
      throw malformed("expected an object, found \(value.kind)")
    }
    return members
  }

  func flag(_ name: String, default absent: Bool) throws -> Bool {
    guard let node = try member(name) else { return absent }
    guard case .bool(let flag) = node.value else {
      throw node.malformed("expected true or false, found \(node.value.kind)")
    }
    return flag
  }

  /// Refuses chains of components that would blow a short text up to fill the memory.
  func limitGrowth(_ growth: Double?) throws {
    guard let growth, growth > 4096 else { return }
    throw unsupported("makes text up to \(growth) times longer; supported: up to 4096 times")
  }

  /// The single scalar of a string member.
  func scalar(_ name: String) throws -> [UInt8] {
    let node = try required(name)
    let bytes = try node.bytes()
    guard node.value != .string([]), DecodedScalar(in: bytes, at: 0).length == bytes.count else {
      throw node.malformed("expected one character")
    }
    return bytes
  }
}
