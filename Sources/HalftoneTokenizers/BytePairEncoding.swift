import HeapModule

/// Byte-pair encoding: joins the adjacent pair of lowest rank, leftmost on ties, until none is left.
///
/// A merge can only cross a *seam* between two characters if some merge, anywhere in the table, has
/// a left part that ends in the first and a right part that begins with the second. Long text is
/// therefore cut at all other seams, which is exact, and makes vocabularies without pre-tokenizer
/// (Llama 2: the whole text is one word) as fast as those with one.
struct BytePairEncoding: Sendable {
  struct Merge: Sendable {
    var rank: UInt32
    var id: Int32

    /// Stands for pairs that do not join.
    static let none = Merge(rank: .max, id: -1)
  }

  /// Up to this many symbols the quadratic merge is the faster one.
  private static let shortest = 32

  /// Beyond this many remembered segments nothing more is remembered.
  private static let cacheLimit = 1 << 16

  var vocabulary: [ByteString: Int32]
  var merges: [UInt64: Merge]
  var scalars: ScalarTable
  var byteIDs: [Int32]?
  var unknown: Int32?
  var fusesUnknown = false
  var ignoresMerges = false
  var seams: Set<UInt64>?

  /// What one call of `encode` reuses from piece to piece.
  struct Workspace {
    fileprivate var symbols: [Int32] = []
    fileprivate var cache: [SymbolKey: [Int32]] = [:]
  }

  static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  /// Appends the ids of one piece of text.
  func encode(
    _ piece: ArraySlice<UInt8>, in bytes: [UInt8], to ids: inout [Int],
    _ work: inout Workspace
  ) {
    if ignoresMerges, let id = vocabulary[ByteString(Array(piece))] {
      ids.append(Int(id))
      return
    }
    work.symbols.removeAll(keepingCapacity: true)
    appendSymbols(bytes, piece.indices, to: &work.symbols)
    appendMerged(to: &ids, &work)
  }

  /// Appends the ids that the symbols in the workspace merge to.
  func appendMerged(to ids: inout [Int], _ work: inout Workspace) {
    let symbols = work.symbols
    guard symbols.count > Self.shortest, let seams else {
      append(symbols[...], to: &ids, &work)
      return
    }
    var start = 0
    for index in 1..<symbols.count
    where !seams.contains(Self.pair(symbols[index - 1], symbols[index])) {
      append(symbols[start..<index], to: &ids, &work)
      start = index
    }
    append(symbols[start...], to: &ids, &work)
  }

  /// Appends one id a character: its own, those of its bytes, or the unknown id.
  func appendSymbols(_ bytes: [UInt8], _ piece: Range<Int>, to symbols: inout [Int32]) {
    var index = piece.lowerBound
    var pending: Int32?
    while index < piece.upperBound {
      let scalar = DecodedScalar(in: bytes, at: index)
      let next = min(index + scalar.length, piece.upperBound)
      if let id = scalars[scalar.value] {
        if let waiting = pending { symbols.append(waiting) }
        pending = nil
        symbols.append(id)
      } else if let byteIDs, bytes[index..<next].allSatisfy({ byteIDs[Int($0)] >= 0 }) {
        for byte in bytes[index..<next] { symbols.append(byteIDs[Int(byte)]) }
      } else if let unknown {
        if let waiting = pending, !fusesUnknown { symbols.append(waiting) }
        pending = unknown
      }
      index = next
    }
    if let waiting = pending { symbols.append(waiting) }
  }

  private func append(
    _ symbols: ArraySlice<Int32>, to ids: inout [Int], _ work: inout Workspace
  ) {
    if symbols.count < 2 {
      for symbol in symbols { ids.append(Int(symbol)) }
      return
    }
    guard symbols.count <= Self.shortest else {
      for id in mergedByHeap(Array(symbols)) { ids.append(Int(id)) }
      return
    }
    let key = SymbolKey(symbols: Array(symbols))
    if let known = work.cache[key] {
      for id in known { ids.append(Int(id)) }
      return
    }
    let merged = mergedByScan(key.symbols)
    if work.cache.count < Self.cacheLimit { work.cache[key] = merged }
    for id in merged { ids.append(Int(id)) }
  }

  private func merge(_ left: Int32, _ right: Int32) -> Merge {
    merges[Self.pair(left, right)] ?? .none
  }

  /// The plain algorithm: look at all pairs, join the best, repeat.
  ///
  /// - Complexity: O(n²).
  func mergedByScan(_ input: [Int32]) -> [Int32] {
    var symbols = input
    var pairs = zip(symbols, symbols.dropFirst()).map(merge)
    while true {
      var best = Merge.none
      var place = 0
      for (index, pair) in pairs.enumerated() where pair.rank < best.rank {
        best = pair
        place = index
      }
      guard best.rank != .max else { return symbols }
      symbols[place] = best.id
      symbols.remove(at: place + 1)
      pairs.remove(at: place)
      if place > 0 { pairs[place - 1] = merge(symbols[place - 1], symbols[place]) }
      if place < pairs.count { pairs[place] = merge(symbols[place], symbols[place + 1]) }
    }
  }

  /// The same by a heap of pairs over a linked list of symbols.
  ///
  /// - Complexity: O(n log n).
  func mergedByHeap(_ input: [Int32]) -> [Int32] {
    var symbols = input
    var next = Array(1...max(input.count, 1))
    var previous = Array(-1..<max(input.count - 1, 0))
    var entries: [UInt64] = []
    for index in input.indices.dropLast() {
      let rank = merge(input[index], input[index + 1]).rank
      if rank != .max { entries.append(UInt64(rank) << 32 | UInt64(index)) }
    }
    var heap = Heap(entries)
    while let entry = heap.popMin() {
      let left = Int(entry & 0xFFFF_FFFF)
      guard symbols[left] >= 0, next[left] < symbols.count else { continue }
      let right = next[left]
      let found = merge(symbols[left], symbols[right])
      // An entry whose pair has changed since is out of date; the new pair has its own entry.
      guard found.rank != .max, UInt64(found.rank) == entry >> 32 else { continue }
      symbols[left] = found.id
      symbols[right] = -1
      next[left] = next[right]
      if next[left] < symbols.count { previous[next[left]] = left }
      for start in [previous[left], left] where start >= 0 && next[start] < symbols.count {
        let rank = merge(symbols[start], symbols[next[start]]).rank
        if rank != .max { heap.insert(UInt64(rank) << 32 | UInt64(start)) }
      }
    }
    return symbols.filter { $0 >= 0 }
  }
}

/// A short run of symbols as a dictionary key.
private struct SymbolKey: Hashable {
  var symbols: [Int32]

  func hash(into hasher: inout Hasher) {
    symbols.withUnsafeBytes { hasher.combine(bytes: $0) }
  }
}

/// The ids of tokens that are single scalars, with a table for ASCII.
struct ScalarTable: Sendable {
  private var ascii = [Int32](repeating: -1, count: 128)
  private var others: [UInt32: Int32] = [:]

  init(_ vocabulary: [ByteString: Int32]) {
    for (token, id) in vocabulary where (1...4).contains(token.bytes.count) {
      guard let text = String(validating: token.bytes, as: UTF8.self)?.unicodeScalars,
        let scalar = text.first?.value, text.count == 1
      else { continue }
      if scalar < 128 {
        ascii[Int(scalar)] = id
      } else {
        others[scalar] = id
      }
    }
  }

  subscript(scalar: UInt32) -> Int32? {
    guard scalar < 128 else { return others[scalar] }
    let id = ascii[Int(scalar)]
    return id < 0 ? nil : id
  }

  /// All the ids in the table.
  var ids: [Int32] { ascii.filter { $0 >= 0 } + others.values }
}
