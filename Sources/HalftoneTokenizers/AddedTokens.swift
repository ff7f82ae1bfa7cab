/// Tokens that are found in the text itself before the model sees it.
struct AddedToken: Sendable {
  var id: Int32
  var content: [UInt8]
  var isSingleWord: Bool
  var stripsLeft: Bool
  var stripsRight: Bool
  var isNormalized: Bool
  var isSpecial: Bool

  init(_ node: JSONNode) throws {
    id = Int32(try node.required("id").index())
    content = try node.required("content").bytes()
    isSingleWord = try node.flag("single_word", default: false)
    stripsLeft = try node.flag("lstrip", default: false)
    stripsRight = try node.flag("rstrip", default: false)
    isSpecial = try node.flag("special", default: false)
    isNormalized = try node.flag("normalized", default: !isSpecial)
  }
}

extension AddedToken {
  /// A token found wherever its spelling occurs.
  init(id: Int32, content: [UInt8], isSpecial: Bool) {
    self.id = id
    self.content = content
    self.isSpecial = isSpecial
    isSingleWord = false
    stripsLeft = false
    stripsRight = false
    isNormalized = false
  }
}

/// Finds added tokens, leftmost first and the longest of those that start together.
struct AddedTokenMatcher: Sendable {
  /// A part of a text: an added token, or text between two of them.
  struct Part {
    var range: Range<Int>
    var token: Int32?
  }

  private var tokens: [AddedToken] = []
  private var children: [UInt64: Int32] = [:]
  private var endings: [Int: Int] = [:]
  private var nodeCount = 1
  private var begins = [Bool](repeating: false, count: 256)

  /// Makes a matcher; each token is paired with the bytes that stand for it in the text.
  init(_ tokens: [(token: AddedToken, pattern: [UInt8])]) {
    for (token, pattern) in tokens where !pattern.isEmpty {
      var node = 0
      for byte in pattern {
        let key = UInt64(node) << 8 | UInt64(byte)
        if let next = children[key] {
          node = Int(next)
        } else {
          children[key] = Int32(nodeCount)
          node = nodeCount
          nodeCount += 1
        }
      }
      begins[Int(pattern[0])] = true
      if endings[node] == nil {
        endings[node] = self.tokens.count
        self.tokens.append(token)
      }
    }
  }

  /// The longest token that starts at `start`, with its end.
  private func match(_ text: [UInt8], _ start: Int) -> (token: AddedToken, end: Int)? {
    guard begins[Int(text[start])] else { return nil }
    var node = 0
    var found: (token: AddedToken, end: Int)?
    for index in start..<text.count {
      guard let next = children[UInt64(node) << 8 | UInt64(text[index])] else { break }
      node = Int(next)
      if let ending = endings[node] { found = (tokens[ending], index + 1) }
    }
    return found
  }

  /// Cuts the text into tokens and what lies between them; the parts may overlap only where a
  /// token begins with spaces that the token before it swallowed.
  func parts(of text: [UInt8]) -> [Part] {
    var parts: [Part] = []
    var textStart = 0
    var index = 0
    while !tokens.isEmpty, index < text.count {
      guard let (token, end) = match(text, index) else {
        index += 1
        continue
      }
      let start = index
      index = end
      if token.isSingleWord, text.hasWord(before: start) || text.hasWord(at: end) { continue }
      let left = token.stripsLeft ? max(text.spacesStart(before: start), textStart) : start
      let right = token.stripsRight ? text.spacesEnd(from: end) : end
      if textStart < left { parts.append(Part(range: textStart..<left, token: nil)) }
      parts.append(Part(range: min(left, right)..<right, token: token.id))
      textStart = right
    }
    if textStart < text.count {
      parts.append(Part(range: textStart..<text.count, token: nil))
    }
    return parts
  }
}

extension Array where Element == UInt8 {
  private func scalar(at index: Int) -> Unicode.Scalar? {
    index < count ? Unicode.Scalar(DecodedScalar(in: self, at: index).value) : nil
  }

  private func scalarStart(before index: Int) -> Int {
    var start = index - 1
    while start > 0, self[start] & 0xC0 == 0x80 { start -= 1 }
    return start
  }

  fileprivate func hasWord(at index: Int) -> Bool {
    scalar(at: index)?.isWordCharacter ?? false
  }

  fileprivate func hasWord(before index: Int) -> Bool {
    index > 0 && hasWord(at: scalarStart(before: index))
  }

  fileprivate func spacesStart(before index: Int) -> Int {
    var index = index
    while index > 0 {
      let start = scalarStart(before: index)
      guard let scalar = scalar(at: start), scalar.properties.isWhitespace else { break }
      index = start
    }
    return index
  }

  fileprivate func spacesEnd(from index: Int) -> Int {
    var index = index
    while let scalar = scalar(at: index), scalar.properties.isWhitespace {
      index += DecodedScalar(in: self, at: index).length
    }
    return index
  }
}
