/// Splits text into the pieces that the model encodes one at a time.
indirect enum PreTokenizer: Sendable {
  case sequence([PreTokenizer])
  case byteLevel(addsPrefixSpace: Bool, usesPattern: Bool, ByteLevelAlphabet)
  case split(Delimiter, DelimiterBehavior, inverted: Bool)
  case metaspace(Metaspace)
  case digits(individually: Bool)

  /// What a Split looks for.
  enum Delimiter: Sendable {
    case literal([UInt8])
    case pattern(SplitPattern)
  }

  private static let supported = "Sequence, ByteLevel, Split, Metaspace, Digits"

  init(_ node: JSONNode) throws {
    let type = try node.required("type").text()
    switch type {
    case "Sequence":
      self = .sequence(try node.required("pretokenizers").elements().map(PreTokenizer.init))
    case "ByteLevel":
      self = .byteLevel(
        addsPrefixSpace: try node.flag("add_prefix_space", default: true),
        usesPattern: try node.flag("use_regex", default: true), ByteLevelAlphabet())
    case "Split": self = try Self.split(node)
    case "Metaspace": self = .metaspace(try Metaspace(node))
    case "Digits": self = .digits(individually: try node.flag("individual_digits", default: false))
    default:
      throw node.unsupported(
        "pre-tokenizer '\(type)' is not supported; supported: \(Self.supported)")
    }
  }

  private static func split(_ node: JSONNode) throws -> PreTokenizer {
    let behaviorNode = try node.required("behavior")
    guard let behavior = DelimiterBehavior(rawValue: try behaviorNode.text()) else {
      let names = DelimiterBehavior.allCases.map(\.rawValue).joined(separator: ", ")
      throw behaviorNode.unsupported("unknown behavior; supported: \(names)")
    }
    let inverted = try node.flag("invert", default: false)
    let pattern = try node.required("pattern")
    guard let regex = try pattern.member("Regex") else {
      let literal = try ReplacePattern.literal(node)
      return .split(.literal(literal), behavior, inverted: inverted)
    }
    let text = try regex.text()
    guard let scanner = SplitPattern(regex: text) else {
      throw regex.unsupported(
        "Split with the regular expression '\(text)' is not supported; "
          + "supported: the expressions of GPT-2, Llama 3 and Qwen 2, spelled as theirs")
    }
    return .split(.pattern(scanner), behavior, inverted: inverted)
  }

  /// How many times longer than its input the result can be, apart from what is prepended.
  var growth: Double {
    switch self {
    case .sequence(let parts): parts.reduce(1) { $0 * $1.growth }
    case .byteLevel: 2
    case .metaspace(let metaspace): Double(metaspace.replacement.count)
    case .split, .digits: 1
    }
  }

  func apply(to text: inout SplitText) {
    switch self {
    case .sequence(let parts):
      for part in parts { part.apply(to: &text) }
    case .byteLevel(let addsPrefixSpace, let usesPattern, let alphabet):
      if addsPrefixSpace { Self.addPrefixSpace(to: &text) }
      if usesPattern { text.refine(SplitPattern.gpt2.appendEnds) }
      text.rewrite { bytes, piece, _, result in
        for index in piece { alphabet.append(bytes[index], to: &result) }
      }
    case .split(let delimiter, let behavior, let inverted):
      Self.split(&text, delimiter, behavior, inverted: inverted)
    case .metaspace(let metaspace): metaspace.apply(to: &text)
    case .digits(let individually): Self.splitDigits(&text, individually: individually)
    }
  }

  private static func addPrefixSpace(to text: inout SplitText) {
    text.rewrite { bytes, piece, _, result in
      if bytes[piece.lowerBound] != 0x20 { result.append(0x20) }
      result += bytes[piece]
    }
  }

  private static func split(
    _ text: inout SplitText, _ delimiter: Delimiter, _ behavior: DelimiterBehavior, inverted: Bool
  ) {
    if case .pattern(let pattern) = delimiter, behavior == .isolated {
      text.refine(pattern.appendEnds)
      return
    }
    var kept: [Bool] = []
    text.refine { bytes, piece, ends in
      let cover = delimiter.cover(bytes, piece).map { ($0.end, $0.isDelimiter != inverted) }
      for part in behavior.pieces(cover) {
        ends.append(part.end)
        kept.append(part.isKept)
      }
    }
    guard kept.contains(false) else { return }
    var index = 0
    text.rewrite { bytes, piece, _, result in
      if kept[index] { result += bytes[piece] }
      index += 1
    }
  }

  private static func splitDigits(_ text: inout SplitText, individually: Bool) {
    let classes = CharacterClasses()
    text.refine { bytes, piece, ends in
      var index = piece.lowerBound
      while let (found, length) = classes.classify(bytes, index, piece.upperBound) {
        let isNumber = found == .number
        index += length
        if isNumber, individually {
          ends.append(index)
          continue
        }
        while let (next, length) = classes.classify(bytes, index, piece.upperBound),
          (next == .number) == isNumber
        {
          index += length
        }
        ends.append(index)
      }
    }
  }
}

extension PreTokenizer.Delimiter {
  /// Covers a piece with the delimiters found in it, leftmost first, and what lies between.
  fileprivate func cover(
    _ bytes: [UInt8], _ piece: Range<Int>
  ) -> [(end: Int, isDelimiter: Bool)] {
    switch self {
    case .pattern(let pattern):
      var ends: [Int] = []
      pattern.appendEnds(in: bytes, piece, to: &ends)
      return ends.map { ($0, true) }
    case .literal(let literal):
      var result: [(end: Int, isDelimiter: Bool)] = []
      var start = piece.lowerBound
      var index = start
      while index < piece.upperBound {
        guard index + literal.count <= piece.upperBound, bytes.matches(literal, at: index) else {
          index += 1
          continue
        }
        if index > start { result.append((index, false)) }
        index += literal.count
        result.append((index, true))
        start = index
      }
      if start < piece.upperBound { result.append((piece.upperBound, false)) }
      return result
    }
  }
}

/// The SentencePiece convention: spaces become a visible mark, and a mark may begin the text.
struct Metaspace: Sendable {
  enum PrependScheme: String, Sendable { case first, always, never }

  let replacement: [UInt8]
  let scheme: PrependScheme
  let splits: Bool

  init(_ node: JSONNode) throws {
    replacement = try node.scalar("replacement")
    splits = try node.flag("split", default: true)
    guard let schemeNode = try node.member("prepend_scheme") else {
      scheme = try node.flag("add_prefix_space", default: true) ? .always : .never
      return
    }
    guard let scheme = PrependScheme(rawValue: try schemeNode.text()) else {
      throw schemeNode.unsupported("unknown scheme; supported: first, always, never")
    }
    self.scheme = scheme
  }

  func apply(to text: inout SplitText) {
    text.rewrite { bytes, piece, isOrigin, result in
      let marked = Array(bytes[piece]).replacing(bytes: [0x20], with: replacement)
      let prepends = scheme == .always || scheme == .first && isOrigin
      if prepends, !marked.matches(replacement, at: 0) { result += replacement }
      result += marked
    }
    guard splits else { return }
    let mark = replacement
    text.refine { bytes, piece, ends in
      var index = piece.lowerBound + 1
      while index < piece.upperBound {
        if bytes.matches(mark, at: index) { ends.append(index) }
        index += 1
      }
      ends.append(piece.upperBound)
    }
  }
}
