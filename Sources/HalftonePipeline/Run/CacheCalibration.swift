import HalftoneLayers
import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor

/// Fixed scales of keys and values, from their largest magnitudes in the calibration text.
enum CacheCalibration {
  /// Puts the grids into the attention layers of `block`, into which `stream` goes.
  ///
  /// The scale is max|x| / (r/2), r the extent of the codes, as compressed-tensors 0.20 has it: 127.5 for
  /// integers of 8 bits, 448 for E4M3. Keys and values that are always 0 get the scale 1.
  /// - Returns: `k_scale` and `v_scale` [1] of each attention layer, by their names in the checkpoint.
  static func fit(
    _ block: inout any TransformerBlock, _ stream: ActivationStream, _ scheme: InputScheme,
    _ runner: BlockRunner
  ) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    var largest = (keys: Float(0), values: Float(0))
    runner.observeCache(block, stream) { keys, values in
      largest.keys = max(largest.keys, magnitude(keys))
      largest.values = max(largest.values, magnitude(values))
    }
    let half = (scheme.format.extent.high - scheme.format.extent.low) / 2
    let scales = [largest.keys, largest.values].map {
      $0 > 0 ? max($0 / half, .leastNormalMagnitude) : 1
    }
    block.forEachAttention { attention in
      attention.cacheGrids = CacheGrids(
        format: scheme.format, keys: [scales[0]], values: [scales[1]])
      let name = attention.keys.name.split(separator: ".").dropLast().joined(separator: ".")
      result["\(name).k_scale"] = Tensor([scales[0]])
      result["\(name).v_scale"] = Tensor([scales[1]])
    }
    return result
  }

  private static func magnitude(_ x: Tensor) -> Float {
    let range = x.withElements { Kernels.extrema($0) }
    return max(range.maximum, -range.minimum)
  }
}
