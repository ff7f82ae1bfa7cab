import HalftoneCheckpoints
import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

/// The tensors of a checkpoint as the weights of a model.
struct StoredWeights: WeightSource {
  let store: any WeightStore

  var names: [String] { store.names }

  func shape(of name: String) -> [Int]? {
    let isWords = [.int32, .uint32].contains(try? store.storedType(of: name))
    if store.contains(name), !isWords { return try? store.shape(of: name) }
    guard name.hasSuffix(".weight"), let checkpoint = store as? Checkpoint else { return nil }
    return try? checkpoint.quantizedShape(String(name.dropLast(".weight".count)))
  }

  func tensor(_ name: String) throws -> Tensor { try store.tensor(name) }

  func linearWeight(_ module: String) throws -> LinearWeight {
    switch try store.linearWeight(module) {
    case .dense(let tensor): return .dense(tensor)
    case .blocks(let matrix): return .blocks(matrix)
    case .quantized(let tensor):
      // Codes and scales are copies; the pages they came from are not needed again.
      let parts = (try? (store as? any CodedStore)?.weightSuffixes()) ?? []
      for part in parts where store.contains("\(module).\(part)") {
        store.evict("\(module).\(part)")
      }
      return .quantized(tensor)
    }
  }

  func lowRank(_ module: String) throws -> LowRankFactors? { try store.lowRank(module) }

  func cacheGrids(_ module: String) throws -> CacheGrids? {
    try store.storedCache(module).map {
      CacheGrids(format: $0.scheme.format, keys: $0.keys, values: $0.values)
    }
  }

  func inputQuantizer(_ module: String) throws -> InputQuantizer? {
    switch try store.storedInputScheme(module) {
    case nil: return nil
    case .dynamic(let scheme): return .dynamic(scheme)
    case .groups(let scheme, let global):
      return .groups(scheme, try GroupRounding(scheme, global: global))
    case .fixed(let scheme, let scale, let zeroPoint):
      return .fixed(
        step: Tensor([scale]), zero: zeroPoint, format: scheme.format, gradientScale: 1)
    }
  }
}
