import HalftoneLayers
import HalftoneTensor

/// Sequences of one length that run through a model side by side.
struct TokenBatch {
  /// [count·length], one sequence after another.
  var ids: [Int]
  let count: Int
  var length: Int { ids.count / count }
}

/// Runs many batches through a model block by block, so that each block is read once for all of
/// them and only one is in memory.
struct BlockwiseForward {
  /// Rows that run side by side: enough to keep the matrix products busy, few enough for the caches.
  static let rowsPerBatch = 2048
  /// The most elements of logits computed at once.
  static let logitElements = 1 << 22

  let model: any LanguageModel

  /// How many rows of activations fit into `bytes`; at least one batch's.
  static func rowsPerChunk(_ model: any LanguageModel, bytes: Int) -> Int {
    max(rowsPerBatch, bytes / (4 * model.hiddenSize))
  }

  /// The activations after the last block, one tensor [count·length, hidden] a batch.
  ///
  /// `progress` is called with the number of blocks done and may throw to stop.
  func callAsFunction(
    _ batches: [TokenBatch], progress: (Int) throws -> Void
  ) throws -> [Tensor] {
    var hidden = try batches.map { try model.embed($0.ids) }
    var contexts: [Int: ForwardContext] = [:]
    for index in 0..<model.blockCount {
      let block = try model.block(index).densified()
      for (i, batch) in batches.enumerated() {
        var context =
          contexts[batch.length] ?? model.context(batch: 1, length: batch.length, start: 0)
        contexts[batch.length] = context
        context.batch = batch.count
        hidden[i] = block(hidden[i], context)
      }
      try progress(index + 1)
    }
    return hidden
  }

  /// Ranges of rows whose logits fit into memory together.
  static func slices(_ rows: Int, vocabulary: Int) -> [Range<Int>] {
    let size = max(1, logitElements / vocabulary)
    return stride(from: 0, to: rows, by: size).map { $0..<min($0 + size, rows) }
  }
}
