import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

/// Which blocks are trained together: windows of `size` blocks, each sharing `overlap` with the one
/// before.
///
/// The window that reaches the last block is the last one, shorter where the blocks do not come out
/// even.
package struct WindowSchedule {
  package let size: Int
  package let overlap: Int
  package let blocks: Int

  package init(size: Int, overlap: Int, blocks: Int) {
    (self.size, self.overlap, self.blocks) = (size, overlap, blocks)
  }

  private var stride: Int { size - overlap }

  /// The window whose first block is `start`; nil if none begins there.
  package func window(from start: Int) -> Range<Int>? {
    guard start % stride == 0, start == 0 || start - stride + size < blocks else { return nil }
    return start..<min(start + size, blocks)
  }
}

extension BlockProblem {
  /// The blocks of `window`, of which this problem's is the first, as one unit: the Q stream goes in,
  /// the original blocks' output on the FP stream is the target.
  ///
  /// - Throws: what reading the later blocks throws.
  func joined(over window: Range<Int>) throws -> BlockProblem {
    guard let network, window.count > 1 else { return self }
    var result = self
    var units = [block]
    for index in window.dropFirst() {
      units.append(try network.prepared(index, result.targets))
      result.schemes.merge(network.schemes(index)) { $1 }
      result.targets = output(of: try network.model.block(index), on: result.targets)
    }
    result.block = BlockSequence(units)
    return result
  }

  /// `block` run on all samples of `stream`.
  func output(
    of block: any TransformerBlock, on stream: ActivationStream
  ) -> ActivationStream {
    let pieceTokens = 2048
    let step = max(1, pieceTokens / stream.length)
    let pieces = stride(from: 0, to: stream.samples, by: step).map { start in
      let samples = start..<min(start + step, stream.samples)
      return block(stream.samples(samples), makeContext(samples.count))
    }
    return ActivationStream(activations: .concatenating(pieces), length: stream.length)
  }
}

/// What a window leaves of the layers whose blocks are still to come, as named tensors.
struct CarriedLayers {
  private(set) var tensors: [String: Tensor]

  init(_ tensors: [String: Tensor] = [:]) { self.tensors = tensors }

  /// The leaves of `layer`'s rounding variables; nil if no window has trained it.
  func leaves(of layer: String) -> [Tensor]? {
    var leaves: [Tensor] = []
    while let leaf = tensors["\(layer)/leaf/\(leaves.count)"] { leaves.append(leaf) }
    return leaves.isEmpty ? nil : leaves
  }

  /// The fixed input quantizer of `layer`, whose inputs have this scheme; nil for one found as it runs.
  func inputs(of layer: String, _ scheme: InputScheme?) -> InputQuantizer? {
    guard let scheme, let values = tensors["\(layer)/inputs"]?.values, values.count == 3 else {
      return nil
    }
    return .fixed(
      step: Tensor([values[0]]), zero: values[1], format: scheme.format, gradientScale: values[2])
  }

  mutating func keep(_ leaves: [Tensor], _ inputs: InputQuantizer?, of layer: String) {
    for (i, leaf) in leaves.enumerated() { tensors["\(layer)/leaf/\(i)"] = leaf }
    guard case .fixed(let step, let zero, _, let scale) = inputs else { return }
    tensors["\(layer)/inputs"] = Tensor([step.scalar, zero, scale])
  }
}
