/// A JSON document that keeps what it was read from: the order of keys and the spelling of numbers.
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case number(JSONNumber)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)
}

/// A number as it was spelled; `NaN`, `Infinity` and `-Infinity` are spellings too.
public struct JSONNumber: Sendable, Equatable {
  public let literal: String

  init(literal: String) { self.literal = literal }

  public init(_ value: Int) { literal = String(value) }

  /// The shortest spelling that reads back to the same number.
  public init(_ value: Double) {
    literal =
      value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : "\(value)"
  }

  public var double: Double? {
    switch literal {
    case "NaN": .nan
    case "Infinity": .infinity
    case "-Infinity": -.infinity
    default: Double(literal)
    }
  }

  /// The number if it is whole and fits, however it is spelled (`4`, `4.0`, `4e0`).
  public var int: Int? {
    if let whole = Int(literal) { return whole }
    return double.flatMap { Int(exactly: $0) }
  }
}

/// Members in their order; keys are unique.
public struct JSONObject: Sendable, Equatable {
  public private(set) var keys: [String] = []
  private var members: [String: JSONValue] = [:]

  public init() {}

  /// The value of `key`; setting nil removes it, setting a new key appends it.
  public subscript(key: String) -> JSONValue? {
    get { members[key] }
    set {
      if let newValue {
        if members.updateValue(newValue, forKey: key) == nil { keys.append(key) }
      } else if members.removeValue(forKey: key) != nil {
        keys.removeAll { $0 == key }
      }
    }
  }

  public var count: Int { keys.count }

  /// The members in their order.
  public var pairs: [(key: String, value: JSONValue)] {
    keys.compactMap { key in members[key].map { (key, $0) } }
  }

  public static func == (a: JSONObject, b: JSONObject) -> Bool {
    a.keys == b.keys && a.members == b.members
  }
}

extension JSONValue {
  public var isNull: Bool { self == .null }

  public var string: String? {
    if case .string(let value) = self { value } else { nil }
  }

  public var bool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// A whole number; nil for anything else.
  public var int: Int? {
    if case .number(let value) = self { value.int } else { nil }
  }

  /// A number, also in the form `{"__float__": "Infinity"}` of Hugging Face configurations.
  public var double: Double? {
    switch self {
    case .number(let value): value.double
    case .object(let object) where object.keys == ["__float__"]:
      object["__float__"]?.string.flatMap { JSONNumber(literal: $0).double }
    default: nil
    }
  }

  public var array: [JSONValue]? {
    if case .array(let value) = self { value } else { nil }
  }

  public var object: JSONObject? {
    if case .object(let value) = self { value } else { nil }
  }

  /// The member of an object; nil where there is none, or for other values.
  ///
  /// Setting a member of a value that is no object makes it one.
  public subscript(key: String) -> JSONValue? {
    get { object?[key] }
    set {
      var changed = object ?? JSONObject()
      changed[key] = newValue
      self = .object(changed)
    }
  }

  /// The element of an array; nil outside of it, or for other values.
  public subscript(index: Int) -> JSONValue? {
    guard let array, array.indices.contains(index) else { return nil }
    return array[index]
  }
}

extension JSONValue: ExpressibleByBooleanLiteral,
  ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int) { self = .number(JSONNumber(value)) }
  public init(floatLiteral value: Double) { self = .number(JSONNumber(value)) }
  public init(stringLiteral value: String) { self = .string(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    var object = JSONObject()
    for (key, value) in elements { object[key] = value }
    self = .object(object)
  }
}
