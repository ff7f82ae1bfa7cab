/// Finds the largest of many logits in one pass, without sorting the others.
package enum LargestLogits {
  /// The ids of the `count` largest, largest first; equal ones in the order of ids.
  package static func ids(_ count: Int, of logits: [Float]) -> [Int] {
    logits.withUnsafeBufferPointer { logits in
      let count = min(count, logits.count)
      guard count > 0 else { return [] }
      // The root is the least of those kept so far, so that most logits cost one comparison.
      var heap = Heap(Array(0..<count), logits)
      var least = heap.least
      for id in count..<logits.count where logits[id] > least {
        heap.replaceLeast(id)
        least = heap.least
      }
      return heap.ids.sorted { follows($1, $0, logits) }
    }
  }

  /// Whether `a` comes after `b` in the result.
  private static func follows(_ a: Int, _ b: Int, _ logits: UnsafeBufferPointer<Float>) -> Bool {
    logits[a] != logits[b] ? logits[a] < logits[b] : a > b
  }

  private struct Heap {
    var ids: [Int]
    let logits: UnsafeBufferPointer<Float>

    init(_ ids: [Int], _ logits: UnsafeBufferPointer<Float>) {
      self.ids = ids
      self.logits = logits
      for index in stride(from: ids.count / 2 - 1, through: 0, by: -1) { sink(index) }
    }

    var least: Float { logits[ids[0]] }

    mutating func replaceLeast(_ id: Int) {
      ids[0] = id
      sink(0)
    }

    private mutating func sink(_ start: Int) {
      var index = start
      while true {
        var least = index
        for child in 2 * index + 1...2 * index + 2
        where child < ids.count && follows(ids[child], ids[least], logits) { least = child }
        guard least != index else { return }
        ids.swapAt(index, least)
        index = least
      }
    }
  }
}
