/// The four classes that the supported split patterns tell apart: `\p{L}`, `\p{N}`, `\s`, the rest.
package enum CharacterClass: UInt8, Sendable {
  case letter, number, space, other

  /// The class of a scalar; `\s` is the Unicode property White_Space.
  package init(_ scalar: Unicode.Scalar) {
    if scalar.properties.isWhitespace {
      self = .space
      return
    }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      self = .letter
    case .decimalNumber, .letterNumber, .otherNumber: self = .number
    default: self = .other
    }
  }
}

/// Looks classes up in UTF-8, with a table for ASCII.
struct CharacterClasses: Sendable {
  private let ascii: [CharacterClass]

  init() {
    ascii = (0..<128).map { CharacterClass(Unicode.Scalar(UInt8($0))) }
  }

  /// The class of the scalar at `index` and its length in bytes; nil at the end.
  @inline(__always)
  func classify(_ bytes: [UInt8], _ index: Int, _ end: Int) -> (CharacterClass, Int)? {
    guard index < end else { return nil }
    let byte = bytes[index]
    if byte < 0x80 { return (ascii[Int(byte)], 1) }
    let decoded = DecodedScalar(in: bytes, at: index)
    guard let scalar = Unicode.Scalar(decoded.value) else { return (.other, decoded.length) }
    return (CharacterClass(scalar), decoded.length)
  }

  /// The end of the longest run of one class that starts at `index`.
  @inline(__always)
  func runEnd(_ wanted: CharacterClass, _ bytes: [UInt8], _ index: Int, _ end: Int) -> Int {
    var index = index
    while let (found, length) = classify(bytes, index, end), found == wanted { index += length }
    return index
  }
}

extension Unicode.Scalar {
  /// Whether `\p{P}` matches.
  var isPunctuation: Bool {
    switch properties.generalCategory {
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
      .initialPunctuation, .finalPunctuation, .otherPunctuation:
      return true
    default: return false
    }
  }

  /// Whether `\w` matches: alphabetic, mark, decimal digit, connector or joiner.
  var isWordCharacter: Bool {
    if properties.isAlphabetic || properties.isJoinControl { return true }
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
      return true
    default: return false
    }
  }
}
