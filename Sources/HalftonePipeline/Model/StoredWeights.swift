import HalftoneCheckpoints
import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

/// The tensors of a checkpoint as the weights of a model.
struct StoredWeights: WeightSource {
  let store: any WeightStore

  var names: [String] { store.names }

  func shape(of name: String) -> [Int]? {
    if store.contains(name) { return try? store.shape(of: name) }
    guard name.hasSuffix(".weight"), let checkpoint = store as? Checkpoint else { return nil }
    return try? checkpoint.quantizedShape(String(name.dropLast(".weight".count)))
  }

  func tensor(_ name: String) throws -> Tensor { try store.tensor(name) }

  func linearWeight(_ module: String) throws -> LinearWeight {
    switch try store.linearWeight(module) {
    case .dense(let tensor): .dense(tensor)
    case .quantized(let tensor): .quantized(tensor)
    case .blocks(let matrix): .blocks(matrix)
    }
  }

  func inputQuantizer(_ module: String) throws -> InputQuantizer? {
    switch try store.storedInputScheme(module) {
    case nil: return nil
    case .dynamic(let scheme):
      return .perToken(bits: scheme.format.bits, symmetric: scheme.symmetric)
    case .fixed(let scheme, let scale, let zeroPoint):
      return .fixed(
        step: Tensor([scale]), zero: zeroPoint, low: Float(scheme.format.low),
        high: Float(scheme.format.high), gradientScale: 1)
    }
  }
}
