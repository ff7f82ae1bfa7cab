import Foundation

/// The values of a config.json by key; asking for one checks its type and names the key in errors.
struct ConfigurationReader {
  private let values: [String: Value]
  /// Where in the file: "" or "rope_scaling.".
  private let path: String

  /// - Throws: ``ModelError`` if `data` is not a JSON object. Bare NaN and Infinity, which Python
  ///   writes, are accepted.
  init(_ data: Data) throws(ModelError) {
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    do {
      values = try decoder.decode([String: Value].self, from: data)
    } catch {
      throw ModelError("config.json is not a JSON object: restore the file (\(error))")
    }
    path = ""
  }

  private init(values: [String: Value], path: String) {
    self.values = values
    self.path = path
  }

  /// The value of `key`; nil if it is missing or null.
  private func value(_ key: String) -> Value? {
    guard let value = values[key], value != .null else { return nil }
    return value
  }

  private func mismatch(_ key: String, _ found: Value, _ expected: String) -> ModelError {
    ModelError("config.json: \(path)\(key) is \(found), but must be \(expected)")
  }

  func has(_ key: String) -> Bool { values[key] != nil }

  func string(_ key: String) throws(ModelError) -> String? {
    guard let value = value(key) else { return nil }
    guard case .string(let text) = value else { throw mismatch(key, value, "a string") }
    return text
  }

  func flag(_ key: String) throws(ModelError) -> Bool? {
    guard let value = value(key) else { return nil }
    guard case .flag(let flag) = value else { throw mismatch(key, value, "true or false") }
    return flag
  }

  /// A finite number above zero.
  func positive(_ key: String) throws(ModelError) -> Double? {
    guard let value = value(key) else { return nil }
    guard case .number(let number) = value, number > 0, number.isFinite else {
      throw mismatch(key, value, "a positive number")
    }
    return number
  }

  /// A whole number from 1 to `largest`.
  func size(_ key: String, upTo largest: Int) throws(ModelError) -> Int? {
    guard let value = value(key) else { return nil }
    guard case .number(let number) = value, let size = Int(exactly: number),
      (1...largest).contains(size)
    else { throw mismatch(key, value, "a whole number from 1 to \(largest)") }
    return size
  }

  /// One whole number from 0 on, or a list of them; empty if missing.
  func ids(_ key: String) throws(ModelError) -> [Int] {
    guard let value = value(key) else { return [] }
    let list = if case .array(let items) = value { items } else { [value] }
    var result: [Int] = []
    for item in list {
      guard case .number(let number) = item, let id = Int(exactly: number), id >= 0 else {
        throw mismatch(key, value, "a token id or a list of token ids")
      }
      result.append(id)
    }
    return result
  }

  func strings(_ key: String) throws(ModelError) -> [String]? {
    guard let value = value(key) else { return nil }
    guard case .array(let items) = value else { throw mismatch(key, value, "a list of strings") }
    var result: [String] = []
    for item in items {
      guard case .string(let text) = item else { throw mismatch(key, value, "a list of strings") }
      result.append(text)
    }
    return result
  }

  /// A list of finite numbers above zero; empty if missing.
  func positives(_ key: String) throws(ModelError) -> [Double] {
    guard let value = value(key) else { return [] }
    guard case .array(let items) = value else { throw mismatch(key, value, "a list of numbers") }
    var result: [Double] = []
    for item in items {
      guard case .number(let number) = item, number > 0, number.isFinite else {
        throw mismatch(key, value, "a list of positive numbers")
      }
      result.append(number)
    }
    return result
  }

  func object(_ key: String) throws(ModelError) -> ConfigurationReader? {
    guard let value = value(key) else { return nil }
    guard case .object(let members) = value else { throw mismatch(key, value, "an object") }
    return ConfigurationReader(values: members, path: "\(path)\(key).")
  }

  private indirect enum Value: Decodable, Equatable, CustomStringConvertible {
    case null
    case flag(Bool)
    case number(Double)
    case string(String)
    case array([Value])
    case object([String: Value])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if container.decodeNil() {
        self = .null
      } else if let flag = try? container.decode(Bool.self) {
        self = .flag(flag)
      } else if let number = try? container.decode(Double.self) {
        self = .number(number)
      } else if let text = try? container.decode(String.self) {
        self = .string(text)
      } else if let items = try? container.decode([Value].self) {
        self = .array(items)
      } else {
        self = .object(try container.decode([String: Value].self))
      }
    }

    var description: String {
      switch self {
      case .null: "null"
      case .flag(let flag): "\(flag)"
      case .number(let number): Int(exactly: number).map { "\($0)" } ?? "\(number)"
      case .string(let text): "\"\(text.prefix(80))\""
      case .array(let items): items.count > 8 ? "a list of \(items.count)" : "\(items)"
      case .object: "an object"
      }
    }
  }
}
