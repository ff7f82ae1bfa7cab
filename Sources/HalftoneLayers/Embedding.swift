import HalftoneSchemes
public import HalftoneTensor

/// A table of one row per word, of which only the rows asked for are converted to floats.
public struct Embedding: Sendable {
  /// [words, width]: dense in its stored type, or blocks.
  public let weight: LinearWeight

  /// A table of codes is dequantized here, once; blocks are kept as they are.
  public init(weight: LinearWeight) {
    if case .quantized(let tensor) = weight {
      self.weight = .dense(tensor.dequantized())
    } else {
      self.weight = weight
    }
  }

  /// The rows of `ids`, each of which must be below the number of words: [ids.count, width].
  public func callAsFunction(_ ids: [Int]) -> Tensor {
    let words = weight.shape[0]
    precondition(ids.allSatisfy { (0..<words).contains($0) }, "an id outside 0..<\(words)")
    return switch weight {
    case .dense(let table): Self.rows(ids, of: table)
    case .blocks(let table): table.rows(ids)
    case .quantized(let table): Self.rows(ids, of: table.dequantized())
    }
  }

  private static func rows(_ ids: [Int], of table: Tensor) -> Tensor {
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
