/// Finds what was probably meant by a misspelt word.
package enum NearestWord {
  /// The word of `words` closest to `word`; nil if none is close enough to be what was meant.
  package static func of(_ word: String, in words: some Sequence<String>) -> String? {
    let scored = words.map { (word: $0, distance: distance(word, $0)) }
    guard let best = scored.min(by: { ($0.distance, $0.word) < ($1.distance, $1.word) }) else {
      return nil
    }
    return best.distance <= max(2, max(word.count, best.word.count) / 2) ? best.word : nil
  }

  /// "; did you mean X?", or else the whole list.
  static func hint(_ word: String, in words: some Collection<String>) -> String {
    if let nearest = of(word, in: words) { return "did you mean '\(nearest)'?" }
    return words.isEmpty ? "nothing is allowed here" : "known: \(words.joined(separator: ", "))"
  }

  /// The least number of insertions, deletions, substitutions and swaps of neighbours that turn one
  /// word into the other (optimal string alignment).
  package static func distance(_ first: String, _ second: String) -> Int {
    let (a, b) = (Array(first.lowercased().prefix(64)), Array(second.lowercased().prefix(64)))
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1]
      for j in 0..<b.count {
        var cost = min(row[j] + 1, last[j + 1] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
          cost = min(cost, beforeLast[j - 1] + 1)
        }
        row.append(cost)
      }
      (beforeLast, last) = (last, row)
    }
    return last[b.count]
  }
}
