import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftoneModels
import HalftoneReport
import HalftoneSchemes
import HalftoneTensor

/// What a run's checkpoint holds besides the tensors of compressed-tensors, known before it is
/// written.
struct OutputAdditions {
  private(set) var descriptions: [TensorDescription] = []
  /// Keys of `config.json` that make other tools read the biases.
  private(set) var configuration: [String: JSONValue] = [:]
  private(set) var method = CompressedTensorsConfig.Method.compressedTensors
  /// The bytes that belong to quantized layers.
  private(set) var layerBytes = 0
  /// Biases that other layers of a kind need because one key speaks for all, by name.
  private(set) var zeros: [String: Int] = [:]

  /// Looks through the blocks that `journal` keeps.
  init(_ work: QuantizationRun.Work, _ journal: Journal) throws {
    var byName: [String: TensorDescription] = [:]
    var biased: Set<String> = []
    for index in 0..<work.plan.model.blockCount {
      let result = try journal.block(index, layers: work.layers(index))
      for (name, tensor) in result.parameters { byName[name] = Self.description(name, tensor) }
      for layer in result.layers {
        let additions = layer.additions
        layerBytes += try additions.byteCount()
        if additions.bias != nil { biased.insert(layer.record.name) }
        if additions.needOwnFormat { method = .halftone }
        for (suffix, tensor) in try additions.tensors() {
          let name = "\(layer.record.name).\(suffix)"
          byName[name] = Self.description(name, tensor)
        }
      }
    }
    if !work.plan.writtenModules.allSatisfy(\.isShared) { method = .halftone }
    if !biased.isEmpty { try announce(biased, work.opened.store, &byName) }
    descriptions = byName.values.sorted { $0.name < $1.name }
  }

  private mutating func announce(
    _ biased: Set<String>, _ store: any WeightStore, _ byName: inout [String: TensorDescription]
  ) throws {
    let model = try LlamaConfiguration(Data(store.config.serialized().utf8))
    guard let keys = model.keys(forBiasesOf: biased) else {
      method = .halftone
      return
    }
    for key in keys.keys { configuration[key] = .bool(true) }
    for layer in keys.layers {
      let name = layer.name + ".bias"
      guard byName[name] == nil else { continue }
      zeros[name] = layer.rows
      byName[name] = TensorDescription(name: name, type: .float32, shape: [layer.rows])
    }
  }

  private static func description(_ name: String, _ tensor: Tensor) -> TensorDescription {
    TensorDescription(name: name, type: StoredType(tensor.elementType), shape: tensor.shape)
  }
}
