import Foundation

/// A value of a method's parameters, between YAML and the method's own type.
enum RecipeValue: Equatable, Sendable {
  case null
  case bool(Bool)
  case int(Int)
  case number(Double)
  case string(String)
  case array([RecipeValue])
  case object([String: RecipeValue])

  /// The parameters of `value` by the recipe's words for them.
  static func fields(of value: some Encodable) throws -> [String: RecipeValue] {
    let own = try ownFields(of: value)
    return Dictionary(uniqueKeysWithValues: own.map { (word(for: $0.key), $0.value) })
  }

  /// The parameters of `value` by the names of its coding keys.
  static func ownFields(of value: some Encodable) throws -> [String: RecipeValue] {
    let data = try JSONEncoder().encode(value)
    guard case .object(let fields) = try JSONDecoder().decode(RecipeValue.self, from: data) else {
      return [:]
    }
    return fields
  }

  /// The recipe's word for a coding key: "learning-rate" for `learningRate`.
  static func word(for key: String) -> String {
    key.map { $0.isUppercase ? "-\($0.lowercased())" : String($0) }.joined()
  }

  /// The same text for the same value, whatever the platform: keys sorted, numbers shortest.
  var canonicalText: String {
    switch self {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .int(let value): return "\(value)"
    case .number(let value):
      // As a float: methods compute in Float, and 0.1 read as Float is 0.1 again.
      if let whole = Int(exactly: value) { return "\(whole)" }
      return "\(Float(value))"
    case .string(let value): return value
    case .array(let values):
      return "[\(values.map(\.canonicalText).joined(separator: ", "))]"
    case .object(let values):
      let fields = values.sorted { $0.key < $1.key }.map { "\($0): \($1.canonicalText)" }
      return fields.isEmpty ? "{}" : "{ \(fields.joined(separator: ", ")) }"
    }
  }
}

extension RecipeValue: Codable {
  init(from decoder: any Decoder) throws {
    if let keyed = try? decoder.container(keyedBy: AnyKey.self) {
      var fields: [String: RecipeValue] = [:]
      for key in keyed.allKeys {
        fields[key.stringValue] = try keyed.decode(RecipeValue.self, forKey: key)
      }
      self = .object(fields)
      return
    }
    if var list = try? decoder.unkeyedContainer() {
      var values: [RecipeValue] = []
      while !list.isAtEnd { values.append(try list.decode(RecipeValue.self)) }
      self = .array(values)
      return
    }
    let single = try decoder.singleValueContainer()
    if single.decodeNil() {
      self = .null
    } else if let value = try? single.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? single.decode(Int.self) {
      self = .int(value)
    } else if let value = try? single.decode(Double.self) {
      self = .number(value)
    } else {
      self = .string(try single.decode(String.self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var single = encoder.singleValueContainer()
    switch self {
    case .null: try single.encodeNil()
    case .bool(let value): try single.encode(value)
    case .int(let value): try single.encode(value)
    case .number(let value): try single.encode(value)
    case .string(let value): try single.encode(value)
    case .array(let values): try single.encode(values)
    case .object(let values): try single.encode(values)
    }
  }

  private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}
