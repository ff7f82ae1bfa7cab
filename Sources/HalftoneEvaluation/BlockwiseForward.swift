public import HalftoneInference
public import HalftoneLayers
import HalftoneTensor

/// Sequences of one length that run through a model side by side.
struct TokenBatch {
  /// [count·length], one sequence after another.
  var ids: [Int]
  let count: Int
  var length: Int { ids.count / count }
}

/// A model to be measured, and how it is run.
public enum MeasuredModel: Sendable {
  /// The network's definition in floats, one block in memory at a time.
  case definition(any LanguageModel)
  /// The kernels that generate text.
  case engine(Engine)

  public var vocabularySize: Int {
    switch self {
    case .definition(let model): model.vocabularySize
    case .engine(let engine): engine.vocabularySize
    }
  }

  /// The longest sequence the model was made for.
  public var contextLength: Int {
    switch self {
    case .definition(let model): model.contextLength
    case .engine(let engine): engine.contextLength
    }
  }

  var hiddenSize: Int {
    switch self {
    case .definition(let model): model.hiddenSize
    case .engine(let engine): engine.hiddenSize
    }
  }

  func head() throws -> any OutputHead {
    switch self {
    case .definition(let model): try model.head()
    case .engine(let engine): EngineHead(engine: engine)
    }
  }

  /// The activations after the last block, one tensor [count·length, hidden] a batch; `progress` is
  /// called with the share done.
  func hidden(_ batches: [TokenBatch], progress: (Double) throws -> Void) throws -> [Tensor] {
    switch self {
    case .definition(let model):
      return try BlockwiseForward(model: model)(batches) {
        try progress(Double($0) / Double(model.blockCount))
      }
    case .engine(let engine):
      return try batches.enumerated().map { i, batch in
        let hidden = try engine.hidden(batch.ids, count: batch.count)
        try progress(Double(i + 1) / Double(batches.count))
        return hidden
      }
    }
  }
}

private struct EngineHead: OutputHead {
  let engine: Engine
  func callAsFunction(_ hidden: Tensor) -> Tensor { engine.logits(hidden) }
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
  static func rowsPerChunk(_ model: MeasuredModel, bytes: Int) -> Int {
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
