public import HalftoneTensor

/// A table of one row per word, of which only the rows asked for are converted to floats.
public struct Embedding: Sendable {
  /// [words, width], in its stored type.
  public let table: Tensor
  /// The table as a head's weight.
  public var weight: LinearWeight { .dense(table) }

  /// A quantized table is dequantized here, once.
  public init(weight: LinearWeight) {
    if case .dense(let stored) = weight { table = stored } else { table = weight.dense() }
  }

  /// The rows of `ids`, each of which must be below the number of words: [ids.count, width].
  public func callAsFunction(_ ids: [Int]) -> Tensor {
    let words = table.shape[0]
    precondition(ids.allSatisfy { (0..<words).contains($0) }, "an id outside 0..<\(words)")
    let width = table.columns
    let stride = width * table.elementType.byteCount
    let rows = Tensor(shape: [ids.count, width], elementType: table.elementType) { out in
      table.withBytes { bytes in
        guard let to = out.baseAddress, let from = bytes.baseAddress else { return }
        for (i, id) in ids.enumerated() {
          (to + i * stride).copyMemory(from: from + id * stride, byteCount: stride)
        }
      }
    }
    return rows.float()
  }
}
