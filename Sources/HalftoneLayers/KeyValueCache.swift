public import HalftoneTensor

/// Keys and values of the positions seen so far, for one sequence, one block after another.
///
/// A reference: the blocks of one model append to it in turn.
public final class KeyValueCache {
  private var keys: [Int: Tensor] = [:]
  private var values: [Int: Tensor] = [:]

  public init() {}

  /// Appends the rows of `newKeys` and `newValues` [positions, keyHeads·d] for `layer` and returns
  /// all rows so far.
  public func append(layer: Int, _ newKeys: Tensor, _ newValues: Tensor) -> (Tensor, Tensor) {
    let k = keys[layer].map { Tensor.concatenating([$0, newKeys]) } ?? newKeys
    let v = values[layer].map { Tensor.concatenating([$0, newValues]) } ?? newValues
    (keys[layer], values[layer]) = (k, v)
    return (k, v)
  }
}
