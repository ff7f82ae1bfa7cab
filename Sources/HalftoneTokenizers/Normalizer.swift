import Foundation

/// Rewrites text before it is split.
indirect enum Normalizer: Sendable {
  case sequence([Normalizer])
  case prepend([UInt8])
  case replace([UInt8], with: [UInt8])
  case composeCanonically

  private static let supported = "Sequence, Prepend, Replace with a String pattern, NFC"

  init(_ node: JSONNode) throws {
    let type = try node.required("type").text()
    switch type {
    case "Sequence":
      self = .sequence(try node.required("normalizers").elements().map(Normalizer.init))
    case "Prepend": self = .prepend(try node.required("prepend").bytes())
    case "Replace":
      self = .replace(
        try ReplacePattern.literal(node), with: try node.required("content").bytes())
    case "NFC": self = .composeCanonically
    default:
      throw node.unsupported("normalizer '\(type)' is not supported; supported: \(Self.supported)")
    }
  }

  /// How many times longer than its input the result can be, apart from what is prepended.
  var growth: Double {
    switch self {
    case .sequence(let parts): parts.reduce(1) { $0 * $1.growth }
    case .replace(let pattern, let content): max(1, Double(content.count) / Double(pattern.count))
    case .prepend: 1
    case .composeCanonically: 3  // Unicode's stability policy: at most three times in UTF-8.
    }
  }

  func normalize(_ text: [UInt8]) -> [UInt8] {
    guard !text.isEmpty else { return text }
    switch self {
    case .sequence(let parts): return parts.reduce(text) { $1.normalize($0) }
    case .prepend(let prefix): return prefix + text
    case .replace(let pattern, let content): return text.replacing(bytes: pattern, with: content)
    case .composeCanonically: return Self.composed(text)
    }
  }

  /// The text in Unicode's normalization form C.
  ///
  /// An ASCII character never composes with what stands before it, and no scalar below U+0300
  /// (lead byte 0xCC) composes with or changes by its neighbours alone. So only runs of
  /// non-ASCII that reach U+0300, with the ASCII character before, go through the slow path.
  private static func composed(_ text: [UInt8]) -> [UInt8] {
    guard text.contains(where: { $0 >= 0xCC }) else { return text }
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var start = 0
    while start < text.count {
      var end = start + 1
      while end < text.count, text[end] >= 0x80 { end += 1 }
      let run = text[start..<end]
      if run.contains(where: { $0 >= 0xCC }) {
        let composed = String(decoding: run, as: UTF8.self).precomposedStringWithCanonicalMapping
        result += composed.utf8
      } else {
        result += run
      }
      start = end
    }
    return result
  }
}

/// The `pattern` member of Replace components.
enum ReplacePattern {
  /// The bytes of a non-empty String pattern; a Regex is an error.
  static func literal(_ node: JSONNode) throws -> [UInt8] {
    let pattern = try node.required("pattern")
    if let regex = try pattern.member("Regex") {
      let text = try regex.text()
      throw pattern.unsupported(
        "Replace with the regular expression '\(text)' is not supported; supported: String")
    }
    let literal = try pattern.required("String")
    let bytes = try literal.bytes()
    guard !bytes.isEmpty else { throw literal.malformed("the pattern is empty") }
    return bytes
  }
}
