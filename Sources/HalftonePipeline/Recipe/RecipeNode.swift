import Yams

/// One node of a recipe's YAML, which knows its file and line when it complains.
struct RecipeNode {
  let node: Node
  let file: String
  /// How the node is called in messages: "weights.bits".
  let name: String

  var line: Int { node.mark?.line ?? 0 }

  func error(_ message: String) -> RecipeError {
    RecipeError(file: file, line: line, message)
  }

  private func child(_ node: Node, _ key: String) -> RecipeNode {
    RecipeNode(node: node, file: file, name: name.isEmpty ? key : "\(name).\(key)")
  }

  // MARK: - Structure

  /// The values of a mapping whose keys must all be in `known`.
  func fields(_ known: [String]) throws(RecipeError) -> [String: RecipeNode] {
    var fields: [String: RecipeNode] = [:]
    for (key, value) in try pairs() {
      guard known.contains(key.text) else {
        throw RecipeError(
          file: file, line: key.line,
          "unknown key '\(key.text)'\(name.isEmpty ? "" : " in \(name)"); "
            + NearestWord.hint(key.text, in: known))
      }
      fields[key.text] = value
    }
    return fields
  }

  /// The keys and values of a mapping, in order.
  func pairs() throws(RecipeError) -> [(key: (text: String, line: Int), value: RecipeNode)] {
    guard case .mapping(let mapping) = node else {
      throw error("\(title) must be a map of keys to values")
    }
    var pairs: [(key: (text: String, line: Int), value: RecipeNode)] = []
    for (key, value) in mapping {
      guard case .scalar(let scalar) = key else {
        throw RecipeError(file: file, line: key.mark?.line ?? line, "keys must be words")
      }
      pairs.append(((scalar.string, scalar.mark?.line ?? line), child(value, scalar.string)))
    }
    return pairs
  }

  func list() throws(RecipeError) -> [RecipeNode] {
    guard case .sequence(let sequence) = node else { throw error("\(title) must be a list") }
    return sequence.map { RecipeNode(node: $0, file: file, name: name) }
  }

  // MARK: - Values

  var isScalar: Bool { node.scalar != nil }

  var isNull: Bool {
    guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else {
      return false
    }
    return ["", "~", "null"].contains(scalar.string)
  }

  /// Whether the value says that a part is left as it is.
  var isNone: Bool { isNull || node.scalar?.string == "none" }

  func string() throws(RecipeError) -> String {
    guard case .scalar(let scalar) = node, !isNull else { throw error("\(title) must be a word") }
    return scalar.string
  }

  func word(of words: [String]) throws(RecipeError) -> String {
    let word = try string()
    guard words.contains(word) else {
      throw error("\(title) cannot be '\(word)'; \(NearestWord.hint(word, in: words))")
    }
    return word
  }

  func choice<Word: RawRepresentable<String> & CaseIterable>() throws(RecipeError) -> Word? {
    Word(rawValue: try word(of: Word.allCases.map(\.rawValue)))
  }

  func bool() throws(RecipeError) -> Bool {
    guard case .scalar(let scalar) = node,
      let value = ["true": true, "false": false][scalar.string]
    else { throw error("\(title) must be true or false") }
    return value
  }

  func int(in range: ClosedRange<Int>) throws(RecipeError) -> Int {
    guard case .scalar(let scalar) = node, let value = Int(scalar.string) else {
      throw error("\(title) must be a whole number\(found)")
    }
    guard range.contains(value) else {
      throw error(
        range.upperBound == .max
          ? "\(title) cannot be \(value); it must be at least \(range.lowerBound)"
          : "\(title) cannot be \(value); use \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// A number above 0.
  func positive() throws(RecipeError) -> Float {
    guard case .scalar(let scalar) = node, let value = Float(scalar.string) else {
      throw error("\(title) must be a number\(found)")
    }
    guard value > 0, value.isFinite else {
      throw error("\(title) cannot be \(value); use more than 0")
    }
    return value
  }

  /// A free value, for the parameters of methods.
  func value() throws(RecipeError) -> RecipeValue {
    switch node {
    case .scalar(let scalar):
      if isNull { return .null }
      let quoted = scalar.style != .plain && scalar.style != .any
      if quoted { return .string(scalar.string) }
      if let bool = ["true": true, "false": false][scalar.string] { return .bool(bool) }
      if let int = Int(scalar.string) { return .int(int) }
      if let number = Double(scalar.string), number.isFinite { return .number(number) }
      return .string(scalar.string)
    case .sequence:
      var values: [RecipeValue] = []
      for item in try list() { values.append(try item.value()) }
      return .array(values)
    case .mapping:
      var values: [String: RecipeValue] = [:]
      for (key, item) in try pairs() { values[key.text] = try item.value() }
      return .object(values)
    case .alias: throw error("aliases are not supported in recipes")
    }
  }

  private var title: String { name.isEmpty ? "the recipe" : "'\(name)'" }

  private var found: String {
    guard case .scalar(let scalar) = node, !scalar.string.isEmpty else { return "" }
    return ", not '\(scalar.string)'"
  }
}
