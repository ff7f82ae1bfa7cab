extension JSONValue {
  /// The document as text, the same for equal documents: one member a line with `indent` spaces for
  /// each level, or all on one line; members in their order, or by their keys' bytes.
  public func serialized(indent: Int? = 2, sortedKeys: Bool = false) -> String {
    var text = ""
    write(to: &text, indent, sortedKeys, level: 0)
    return text
  }

  private func write(to text: inout String, _ indent: Int?, _ sorted: Bool, level: Int) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .number(let value): text += value.literal
    case .string(let value): Self.quote(value, into: &text)
    case .array(let elements):
      Self.list("[", "]", elements, to: &text, indent, level) { element, text in
        element.write(to: &text, indent, sorted, level: level + 1)
      }
    case .object(let object):
      let order = sorted ? object.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } : nil
      Self.list("{", "}", order ?? object.keys, to: &text, indent, level) { key, text in
        Self.quote(key, into: &text)
        text += indent == nil ? ":" : ": "
        (object[key] ?? .null).write(to: &text, indent, sorted, level: level + 1)
      }
    }
  }

  private static func list<Element>(
    _ open: String, _ close: String, _ elements: [Element], to text: inout String, _ indent: Int?,
    _ level: Int, _ write: (Element, inout String) -> Void
  ) {
    text += open
    let line = indent.map { "\n" + String(repeating: " ", count: $0 * (level + 1)) } ?? ""
    for (index, element) in elements.enumerated() {
      text += (index == 0 ? "" : ",") + line
      write(element, &text)
    }
    if !elements.isEmpty {
      text += indent.map { "\n" + String(repeating: " ", count: $0 * level) } ?? ""
    }
    text += close
  }

  private static func quote(_ string: String, into text: inout String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\u{08}": text += "\\b"
      case "\u{0C}": text += "\\f"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
