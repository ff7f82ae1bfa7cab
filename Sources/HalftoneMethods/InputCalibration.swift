import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

/// The input quantizers of a block's layers before any learning.
enum InputCalibration {
  /// Values kept of each layer's input to find a fixed range from.
  private static let capacity = 1 << 18

  /// Dynamic schemes need nothing; fixed ones get the min-MSE range of the training samples' inputs.
  static func quantizers(for problem: BlockProblem) throws -> [String: InputQuantizer] {
    var result: [String: InputQuantizer] = [:]
    var fixed: [String: InputScheme] = [:]
    for (name, scheme) in problem.schemes {
      guard let inputs = scheme.inputs else { continue }
      if let quantizer = inputs.dynamicQuantizer {
        result[name] = quantizer
      } else {
        fixed[name] = inputs
      }
    }
    guard !fixed.isEmpty else { return result }
    for (name, values) in sample(Set(fixed.keys), problem) {
      guard let scheme = fixed[name] else { continue }
      let grid = values.withUnsafeBufferPointer {
        MinMSERange().grid(for: [$0], in: scheme.family)
      }
      result[name] = .fixed(
        step: Tensor([grid.scale]), zero: grid.zero, format: scheme.format, gradientScale: 1)
    }
    return result
  }

  /// Every k-th input value of the training samples for each of `layers`, k the same for all.
  private static func sample(
    _ layers: Set<String>, _ problem: BlockProblem
  ) -> [String: [Float]] {
    var values: [String: [Float]] = [:]
    let tokens = problem.training.count * problem.quantized.length
    for i in problem.training {
      var context = problem.makeContext(1)
      context.observe = { name, input in
        guard layers.contains(name) else { return }
        // An odd stride visits all channels in turn.
        let step = max(1, tokens * input.columns / capacity) | 1
        input.withElements { x in
          values[name, default: []] += stride(from: i % step, to: x.count, by: step).map { x[$0] }
        }
      }
      _ = problem.block(problem.quantized.samples(i..<i + 1), context)
    }
    return values
  }
}

extension InputScheme {
  /// What finds its range as it runs; nil for one that is fixed.
  var dynamicQuantizer: InputQuantizer? {
    dynamic ? .dynamic(self) : nil
  }
}
