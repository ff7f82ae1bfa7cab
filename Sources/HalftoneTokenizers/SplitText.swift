/// A text and the ends of the pieces it has been split into; pieces are never empty.
struct SplitText: Sendable {
  var bytes: [UInt8]
  var ends: [Int]

  /// Whether the first piece begins where the original text begins.
  var startsAtOrigin: Bool

  init(_ bytes: [UInt8], startsAtOrigin: Bool) {
    self.bytes = bytes
    self.startsAtOrigin = startsAtOrigin
    ends = bytes.isEmpty ? [] : [bytes.count]
  }

  /// Replaces the pieces by finer ones: `body` appends the ends of the parts of one piece.
  mutating func refine(_ body: ([UInt8], Range<Int>, inout [Int]) -> Void) {
    var finer: [Int] = []
    finer.reserveCapacity(ends.count)
    var start = 0
    for end in ends {
      body(bytes, start..<end, &finer)
      start = end
    }
    ends = finer
  }

  /// Rewrites every piece: `body` appends the new bytes of one piece to the array it is given.
  ///
  /// - Parameter body: the old bytes, the piece, whether it begins the original text, the result.
  mutating func rewrite(_ body: ([UInt8], Range<Int>, Bool, inout [UInt8]) -> Void) {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + bytes.count / 4)
    var kept: [Int] = []
    kept.reserveCapacity(ends.count)
    var start = 0
    var keptFirst = false
    for (index, end) in ends.enumerated() {
      let before = result.count
      body(bytes, start..<end, index == 0 && startsAtOrigin, &result)
      if result.count > before {
        kept.append(result.count)
        if index == 0 { keptFirst = true }
      }
      start = end
    }
    startsAtOrigin = startsAtOrigin && keptFirst
    bytes = result
    ends = kept
  }
}

/// What a Split does with the delimiters it finds.
enum DelimiterBehavior: String, CaseIterable, Sendable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"

  /// Joins a cover of the text by delimiters and others into pieces; the flag says which pieces a
  /// split keeps.
  func pieces(_ cover: [(end: Int, isDelimiter: Bool)]) -> [(end: Int, isKept: Bool)] {
    var result: [(end: Int, isKept: Bool)] = []
    for (index, part) in cover.enumerated() {
      let previous = index > 0 && cover[index - 1].isDelimiter
      let joins =
        switch self {
        case .removed, .isolated: false
        case .mergedWithPrevious: part.isDelimiter && !previous && index > 0
        case .mergedWithNext: previous && !part.isDelimiter
        case .contiguous: index > 0 && previous == part.isDelimiter
        }
      if joins { result.removeLast() }
      result.append((part.end, self != .removed || !part.isDelimiter))
    }
    return result
  }
}
