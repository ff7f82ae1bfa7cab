import HalftoneCheckpoints

/// The members of a request's JSON object, with errors that name them.
struct RequestFields {
  private let object: JSONObject

  init(_ bytes: some Sequence<UInt8>) throws(APIError) {
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONValue(parsing: bytes)
    } catch {
      throw .invalid("the body is not JSON: \(error)")
    }
    guard let object = value.object else { throw .invalid("the body must be a JSON object") }
    self.object = object
  }

  init(_ object: JSONObject) { self.object = object }

  /// The member, nil if it is absent or null.
  subscript(name: String) -> JSONValue? {
    object[name].flatMap { $0.isNull ? nil : $0 }
  }

  func string(_ name: String) throws(APIError) -> String? {
    try value(name, "a string", \.string)
  }

  func bool(_ name: String) throws(APIError) -> Bool? {
    try value(name, "true or false", \.bool)
  }

  func number(_ name: String) throws(APIError) -> Double? {
    try value(name, "a number", \.double)
  }

  func integer(_ name: String) throws(APIError) -> Int? {
    try value(name, "a whole number", \.int)
  }

  func seed(_ name: String) throws(APIError) -> UInt64? {
    try value(name, "a whole number from 0 to \(UInt64.max)") { value in
      guard case .number(let number) = value else { return nil }
      return UInt64(number.literal) ?? number.double.flatMap { UInt64(exactly: $0) }
    }
  }

  private func value<Value>(
    _ name: String, _ kind: String, _ read: (JSONValue) -> Value?
  ) throws(APIError) -> Value? {
    guard let value = self[name] else { return nil }
    guard let found = read(value) else { throw .invalid("'\(name)' must be \(kind)", name) }
    return found
  }

  /// Refuses members that ask for what is not there, unless they hold what would change nothing.
  func refuse(_ names: [String: String], unless harmless: (JSONValue) -> Bool) throws(APIError) {
    for (name, message) in names.sorted(by: { $0.key < $1.key }) {
      if let value = self[name], !harmless(value) { throw .unsupported(name, message) }
    }
  }
}
