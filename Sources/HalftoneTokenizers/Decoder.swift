/// Turns tokens back into text, as a chain of rewrites of the list of tokens.
indirect enum Decoder: Sendable {
  case sequence([Decoder])
  case byteLevel(ByteLevelAlphabet)
  case replace([UInt8], with: [UInt8])
  case byteFallback
  case fuse
  case strip([UInt8], start: Int, stop: Int)
  case metaspace([UInt8], dropsFirst: Bool)

  private static let supported =
    "Sequence, ByteLevel, Replace with a String pattern, ByteFallback, Fuse, Strip, Metaspace"

  init(_ node: JSONNode) throws {
    let type = try node.required("type").text()
    switch type {
    case "Sequence": self = .sequence(try node.required("decoders").elements().map(Decoder.init))
    case "ByteLevel": self = .byteLevel(ByteLevelAlphabet())
    case "Replace":
      self = .replace(
        try ReplacePattern.literal(node), with: try node.required("content").bytes())
    case "ByteFallback": self = .byteFallback
    case "Fuse": self = .fuse
    case "Strip":
      self = .strip(
        try node.scalar("content"), start: try node.required("start").index(),
        stop: try node.required("stop").index())
    case "Metaspace":
      let metaspace = try Metaspace(node)
      self = .metaspace(metaspace.replacement, dropsFirst: metaspace.scheme != .never)
    default:
      throw node.unsupported("decoder '\(type)' is not supported; supported: \(Self.supported)")
    }
  }

  /// How many times longer than its input the result can be.
  var growth: Double {
    switch self {
    case .sequence(let parts): parts.reduce(1) { $0 * $1.growth }
    case .replace(let pattern, let content): max(1, Double(content.count) / Double(pattern.count))
    case .byteLevel, .byteFallback: 3  // An invalid byte becomes U+FFFD.
    case .fuse, .strip, .metaspace: 1
    }
  }

  func decode(_ tokens: [[UInt8]]) -> [[UInt8]] {
    switch self {
    case .sequence(let parts): return parts.reduce(tokens) { $1.decode($0) }
    case .byteLevel(let alphabet):
      return [Self.repaired(tokens.flatMap { alphabet.bytes(of: $0) })]
    case .replace(let pattern, let content):
      return tokens.map { $0.replacing(bytes: pattern, with: content) }
    case .byteFallback: return Self.joinBytes(tokens)
    case .fuse: return [Array(tokens.joined())]
    case .strip(let content, let start, let stop):
      return tokens.map { Self.strip($0, content, start: start, stop: stop) }
    case .metaspace(let mark, let dropsFirst):
      return tokens.enumerated().map { index, token in
        token.replacing(bytes: mark, with: index == 0 && dropsFirst ? [] : [0x20])
      }
    }
  }

  /// The bytes with every invalid part of UTF-8 replaced by U+FFFD.
  private static func repaired(_ bytes: [UInt8]) -> [UInt8] {
    Array(String(decoding: bytes, as: UTF8.self).utf8)
  }

  /// Joins runs of `<0xXX>` tokens; a run that is not UTF-8 becomes one U+FFFD a byte.
  private static func joinBytes(_ tokens: [[UInt8]]) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var run: [UInt8] = []
    func flush() {
      guard !run.isEmpty else { return }
      if String(validating: run, as: UTF8.self) != nil {
        result.append(run)
      } else {
        result += [[UInt8]](repeating: [0xEF, 0xBF, 0xBD], count: run.count)
      }
      run = []
    }
    for token in tokens {
      if let byte = ByteToken.byte(of: token) {
        run.append(byte)
      } else {
        flush()
        result.append(token)
      }
    }
    flush()
    return result
  }

  private static func strip(
    _ token: [UInt8], _ content: [UInt8], start: Int, stop: Int
  ) -> [UInt8] {
    var first = 0
    var removed = 0
    while removed < start, token.matches(content, at: first) {
      first += content.count
      removed += 1
    }
    var last = token.count
    removed = 0
    while removed < stop, last - content.count >= first,
      token.matches(content, at: last - content.count)
    {
      last -= content.count
      removed += 1
    }
    return Array(token[first..<last])
  }
}

/// The tokens `<0x00>` … `<0xFF>` that stand for single bytes.
enum ByteToken {
  static func spelling(of byte: UInt8) -> [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    return Array("<0x".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      + [UInt8(ascii: ">")]
  }

  static func byte(of token: [UInt8]) -> UInt8? {
    guard token.count == 6, token.matches(Array("<0x".utf8), at: 0),
      token[5] == UInt8(ascii: ">")
    else { return nil }
    return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
  }
}
