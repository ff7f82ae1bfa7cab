public import HalftoneTensor

/// Keys and values of the positions seen so far, for one sequence, one block after another.
///
/// A reference: the blocks of one model append to it in turn. Each block's memory is reserved when
/// the block first appends.
public final class KeyValueCache {
  private var layers: [Int: (keys: RowBuffer, values: RowBuffer)] = [:]

  /// The most positions it holds.
  public let capacity: Int
  /// The positions that all blocks so far have appended.
  public var count: Int { layers.values.map(\.keys.count).min() ?? 0 }

  public init(capacity: Int) {
    precondition(capacity > 0, "a cache for \(capacity) positions")
    self.capacity = capacity
  }

  /// Checks that `positions` more fit, before a forward pass.
  ///
  /// - Throws: ``KeyValueCacheError`` if they do not.
  public func reserve(_ positions: Int) throws(KeyValueCacheError) {
    guard positions <= capacity - count else {
      throw KeyValueCacheError(capacity: capacity, count: count, requested: positions)
    }
  }

  /// Appends the rows of `newKeys` and `newValues` [positions, keyHeads·d] for `layer` and returns
  /// all rows so far.
  ///
  /// There must be room: see ``reserve(_:)``.
  public func append(layer: Int, _ newKeys: Tensor, _ newValues: Tensor) -> (Tensor, Tensor) {
    let buffers =
      layers[layer]
      ?? (
        keys: RowBuffer(capacity: capacity, width: newKeys.columns),
        values: RowBuffer(capacity: capacity, width: newValues.columns)
      )
    layers[layer] = buffers
    buffers.keys.append(newKeys)
    buffers.values.append(newValues)
    return (buffers.keys.rows, buffers.values.rows)
  }
}

/// A sequence grew beyond what its cache was made for.
public struct KeyValueCacheError: Error, Equatable, CustomStringConvertible {
  public let capacity: Int
  public let count: Int
  public let requested: Int

  public var description: String {
    "the cache holds \(count) of at most \(capacity) positions and \(requested) more were asked "
      + "for; generate fewer tokens, shorten the prompt or make the cache larger"
  }
}
