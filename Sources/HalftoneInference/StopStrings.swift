/// Cuts a text that arrives in pieces before the first stop string in it.
///
/// What may be the beginning of a stop string is held back until more is known. How the text is
/// cut into pieces does not matter: of several stop strings the one that is complete first counts,
/// of those that end together the longest.
package struct StopStrings: Sendable {
  private let strings: [[UInt8]]
  private var held: [UInt8] = []
  /// Whether a stop string was found; nothing comes after it.
  package private(set) var isFound = false

  /// - Throws: ``GenerationError`` if one of them is empty.
  package init(_ strings: [String]) throws(GenerationError) {
    guard !strings.contains("") else {
      throw GenerationError("an empty stop string; leave it out or give it characters")
    }
    self.strings = strings.map { Array($0.utf8) }
  }

  /// What of the text so far became certain with `piece`.
  package mutating func append(_ piece: String) -> String {
    guard !isFound else { return "" }
    guard !strings.isEmpty else { return piece }
    let start = held.count
    held += piece.utf8
    for end in start + 1..<max(start + 1, held.count + 1) {
      let lengths = strings.filter { held[..<end].hasSuffix($0) }.map(\.count)
      guard let longest = lengths.max() else { continue }
      isFound = true
      return release(end - longest)
    }
    return release(held.count - possibleStart)
  }

  /// What is still held back, at the end of the text.
  package mutating func finish() -> String { isFound ? "" : release(held.count) }

  private mutating func release(_ count: Int) -> String {
    defer { held.removeFirst(count) }
    return String(decoding: held[..<count], as: UTF8.self)
  }

  /// The length of the longest end of the text with which a stop string begins.
  private var possibleStart: Int {
    strings.map { string in
      (0..<min(string.count, held.count + 1)).last { held.hasSuffix(string[..<$0]) } ?? 0
    }.max() ?? 0
  }
}

extension BidirectionalCollection where Element == UInt8 {
  fileprivate func hasSuffix(_ suffix: some BidirectionalCollection<UInt8>) -> Bool {
    count >= suffix.count && self.suffix(suffix.count).elementsEqual(suffix)
  }
}
