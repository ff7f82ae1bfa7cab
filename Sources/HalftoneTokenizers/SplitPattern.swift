/// The regular expressions that byte-level tokenizers split text with, as hand-written scanners.
///
/// All three end in the same way: a run of spaces before a word leaves its last space to the word.
enum SplitPattern: Sendable {
  /// GPT-2: contractions, words, numbers and symbols, each with at most one space before.
  case gpt2

  /// Llama 3 (`digits` = 3) and Qwen 2 (`digits` = 1): any one symbol may precede a word, numbers
  /// are cut after `digits`, and line ends stay with the symbols or spaces before them.
  case llama3(digits: Int)

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

  /// Symbols and the line ends after them: `[^\s\p{L}\p{N}]+[\r\n]*`.
  private func symbols(_ start: Int) -> Int {
    var index = classes.runEnd(.other, bytes, start, end)
    while isLineEnd(index) { index += 1 }
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
