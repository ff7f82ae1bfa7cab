public import HalftoneSchemes
import HalftoneTensor

/// The grids on which an attention layer rounds keys, after their rotation, and values before it keeps them.
public struct CacheGrids: Sendable {
  public let format: any NumberFormat
  /// The scales of keys: one for all key heads, or one for each.
  public let keys: [Float]
  /// Those of values.
  public let values: [Float]

  public init(format: any NumberFormat, keys: [Float], values: [Float]) {
    self.format = format
    self.keys = keys
    self.values = values
  }

  /// Rounds the keys of some positions in place; `rows` are whole ones, [positions, keyHeads·d].
  public func roundKeys(_ rows: UnsafeMutableBufferPointer<Float>, width: Int) {
    round(rows, keys, width)
  }

  /// The same for values.
  public func roundValues(_ rows: UnsafeMutableBufferPointer<Float>, width: Int) {
    round(rows, values, width)
  }

  /// Keys and values [positions, keyHeads·d] on their grids; no gradient goes through.
  func rounded(_ k: Tensor, _ v: Tensor) -> (keys: Tensor, values: Tensor) {
    func copy(_ x: Tensor, _ scales: [Float]) -> Tensor {
      Tensor(shape: x.shape) { out in
        x.withElements { _ = out.update(from: $0) }
        round(out, scales, x.columns)
      }
    }
    return (copy(k, keys), copy(v, values))
  }

  /// Each row is cut into as many pieces as there are scales.
  private func round(
    _ rows: UnsafeMutableBufferPointer<Float>, _ scales: [Float], _ width: Int
  ) {
    let grids = scales.map {
      ScaledGrid(
        scale: $0, low: format.extent.low, high: format.extent.high, levels: format.levels)
    }
    let piece = scales.count == 1 ? rows.count : width / scales.count
    for (index, start) in stride(from: 0, to: rows.count, by: piece).enumerated() {
      let part = UnsafeMutableBufferPointer(rebasing: rows[start..<start + piece])
      Kernels.roundTrip(UnsafeBufferPointer(part), grids[index % grids.count], part)
    }
  }
}
