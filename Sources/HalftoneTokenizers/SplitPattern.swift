/// The regular expressions that byte-level tokenizers split text with, as hand-written scanners.
///
/// Those for words end in the same way: a run of spaces before a word leaves its last space to it.
enum SplitPattern: Sendable {
  /// GPT-2: contractions, words, numbers and symbols, each with at most one space before.
  case gpt2

  /// Llama 3 (`digits` = 3) and Qwen 2 (`digits` = 1): any one symbol may precede a word, numbers
  /// are cut after `digits`, and line ends stay with the symbols or spaces before them.
  case llama3(digits: Int)

  /// Mistral's Tekken and GPT-4o: as Llama 3, but words are also cut where lower case turns to
  /// upper case, slashes stay with the symbols before them, and contractions end words or are none.
  ///
  /// As llama.cpp has it: case is that of ASCII, and other letters are of both cases.
  case cased(digits: Int, contractions: Bool)

  /// Runs of punctuation and what lies between: `[\p{P}$+<=>^~|]+`.
  case punctuation

  /// Runs of numbers, `\p{N}+`, or one number at a time, `\p{N}`, and what lies between.
  case numbers
  case singleDigits

  /// Three ASCII digits at a time and what lies between: `[0-9][0-9][0-9]`.
  case digitTriples

  static let gpt2Text =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

  private static func llama3Text(_ number: String) -> String {
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + number
      + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  }

  /// The scanner of an expression, spelled exactly as the tools write it; nil if it is another.
  init?(regex: String) {
    switch regex {
    case Self.gpt2Text: self = .gpt2
    case Self.llama3Text(#"\p{N}{1,3}"#): self = .llama3(digits: 3)
    case Self.llama3Text(#"\p{N}"#): self = .llama3(digits: 1)
    default: return nil
    }
  }

  /// Appends the end of every match in `range`; the matches cover the range without gaps.
  func appendEnds(in bytes: [UInt8], _ range: Range<Int>, to ends: inout [Int]) {
    let scanner = PatternScanner(bytes: bytes, end: range.upperBound)
    var index = range.lowerBound
    while index < range.upperBound {
      switch self {
      case .gpt2: index = scanner.gpt2(index)
      case .llama3(let digits): index = scanner.llama3(index, digits: digits)
      case .cased(let digits, let contractions):
        index = scanner.cased(index, digits: digits, contractions: contractions)
      case .punctuation: index = scanner.run(index, of: scanner.punctuation)
      case .numbers: index = scanner.run(index, of: scanner.number)
      case .singleDigits:
        index = scanner.number(index) ?? scanner.run(index, of: scanner.number)
      case .digitTriples: index = scanner.triple(index) ?? scanner.gap(index, to: scanner.triple)
      }
      ends.append(index)
    }
  }
}

/// Finds the end of one match at a time; every function takes the start and returns the end.
private struct PatternScanner {
  let bytes: [UInt8]
  let end: Int
  let classes = CharacterClasses()

  @inline(__always)
  func classify(_ index: Int) -> (CharacterClass, Int)? { classes.classify(bytes, index, end) }

  func gpt2(_ start: Int) -> Int {
    if let contraction = contraction(start, ignoringCase: false) { return contraction }
    guard let (first, length) = classify(start) else { return end }
    if first != .space { return classes.runEnd(first, bytes, start + length, end) }
    if bytes[start] == 0x20, let (next, _) = classify(start + 1), next != .space {
      return classes.runEnd(next, bytes, start + 1, end)
    }
    return spaces(start)
  }

  /// Letters cut by case: `X?U*L+|X?U+L*`, where X is no letter, number or line end, U a letter
  /// outside of a-z and L one outside of A-Z.
  func cased(_ start: Int, digits: Int, contractions: Bool) -> Int {
    guard let (first, length) = classify(start) else { return end }
    switch first {
    case .number: return number(start, digits: digits)
    case .letter: return word(start, contractions: contractions)
    case .space, .other: break
    }
    if !isLineEnd(start), let (next, _) = classify(start + length) {
      if next == .letter { return word(start + length, contractions: contractions) }
      if next == .other, bytes[start] == 0x20 { return symbols(start + length, slashes: true) }
    }
    return first == .other ? symbols(start, slashes: true) : lines(start) ?? spaces(start)
  }

  private func word(_ start: Int, contractions: Bool) -> Int {
    var index = start
    // After the last letter that is of both cases, where a word in capitals may end.
    var lastOfBoth: Int?
    while let (found, length) = classify(index), found == .letter, !isASCII(index, 0x61...0x7A) {
      index += length
      if length > 1 { lastOfBoth = index }
    }
    let capitals = index
    while let (found, length) = classify(index), found == .letter, !isASCII(index, 0x41...0x5A) {
      index += length
    }
    let last = index > capitals ? index : lastOfBoth ?? capitals
    guard contractions, last < end else { return last }
    return contraction(last, ignoringCase: true) ?? last
  }

  private func isASCII(_ index: Int, _ range: ClosedRange<UInt8>) -> Bool {
    range.contains(bytes[index])
  }

  /// The run that starts here of what `one` finds, or of what it does not.
  func run(_ start: Int, of one: (Int) -> Int?) -> Int {
    guard var index = one(start) else { return gap(start, to: one) }
    while index < end, let next = one(index) { index = next }
    return index
  }

  /// Where `one` next finds something.
  func gap(_ start: Int, to one: (Int) -> Int?) -> Int {
    var index = start
    while index < end, one(index) == nil, let (_, length) = classify(index) { index += length }
    return index
  }

  /// The end of a number, or nil.
  func number(_ start: Int) -> Int? {
    classify(start).flatMap { $0.0 == .number ? start + $0.1 : nil }
  }

  /// The end of a character of `[\p{P}$+<=>^~|]`, or nil.
  func punctuation(_ start: Int) -> Int? {
    guard start < end else { return nil }
    let decoded = DecodedScalar(in: bytes, at: start)
    guard let scalar = Unicode.Scalar(decoded.value) else { return nil }
    let isSign = scalar.isASCII && "$+<=>^~|".unicodeScalars.contains(scalar)
    return isSign || scalar.isPunctuation ? start + decoded.length : nil
  }

  /// The end of three ASCII digits, or nil.
  func triple(_ start: Int) -> Int? {
    guard start + 3 <= end, bytes[start..<start + 3].allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return start + 3
  }

  func llama3(_ start: Int, digits: Int) -> Int {
    if let contraction = contraction(start, ignoringCase: true) { return contraction }
    guard let (first, length) = classify(start) else { return end }
    switch first {
    case .letter: return classes.runEnd(.letter, bytes, start + length, end)
    case .number: return number(start, digits: digits)
    case .space, .other: break
    }
    if !isLineEnd(start), let (next, _) = classify(start + length) {
      if next == .letter { return classes.runEnd(.letter, bytes, start + length, end) }
      if next == .other, bytes[start] == 0x20 { return symbols(start + length) }
    }
    return first == .other ? symbols(start) : lines(start) ?? spaces(start)
  }

  private func isLineEnd(_ index: Int) -> Bool {
    index < end && (bytes[index] == 0x0A || bytes[index] == 0x0D)
  }

  /// At most `digits` numbers: `\p{N}{1,digits}`.
  private func number(_ start: Int, digits: Int) -> Int {
    var index = start
    for _ in 0..<digits {
      guard let (found, length) = classify(index), found == .number else { break }
      index += length
    }
    return index
  }

  /// Symbols and the line ends after them: `[^\s\p{L}\p{N}]+[\r\n]*`, or `[\r\n/]*`.
  private func symbols(_ start: Int, slashes: Bool = false) -> Int {
    var index = classes.runEnd(.other, bytes, start, end)
    while isLineEnd(index) || slashes && index < end && bytes[index] == 0x2F { index += 1 }
    return index
  }

  /// Up to the last line end of the run of spaces: `\s*[\r\n]+`.
  private func lines(_ start: Int) -> Int? {
    var index = start
    var last: Int?
    while let (found, length) = classify(index), found == .space {
      if isLineEnd(index) { last = index + 1 }
      index += length
    }
    return last
  }

  /// The run of spaces, less its last when something follows and one is left: `\s+(?!\S)|\s+`.
  private func spaces(_ start: Int) -> Int {
    var index = start
    var last = start
    while let (found, length) = classify(index), found == .space {
      last = index
      index += length
    }
    return index == end || last == start ? index : last
  }

  /// A contraction after an apostrophe: `'s|'t|'re|'ve|'m|'ll|'d`.
  private func contraction(_ start: Int, ignoringCase: Bool) -> Int? {
    guard bytes[start] == UInt8(ascii: "'"), start + 1 < end else { return nil }
    func letter(_ index: Int) -> UInt8? {
      guard index < end else { return nil }
      let byte = bytes[index]
      return ignoringCase && byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
    }
    switch letter(start + 1) {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"):
      return letter(start + 2) == UInt8(ascii: "e") ? start + 3 : nil
    case UInt8(ascii: "l"): return letter(start + 2) == UInt8(ascii: "l") ? start + 3 : nil
    case 0xC5 where ignoringCase && bytes.matches([0xC5, 0xBF], at: start + 1) && start + 3 <= end:
      return start + 3  // U+017F, the long s, folds to s.
    default: return nil
    }
  }
}
