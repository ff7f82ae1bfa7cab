import HalftoneCheckpoints
import HalftoneReport
import HalftoneSchemes

/// The GGUF file of a finished run: layers with the codes that the run found, the rest as F16.
struct GGUFOutput {
  let run: QuantizationRun
  let work: QuantizationRun.Work
  let journal: Journal

  /// What the file will hold; known before the first block.
  static func export(_ opened: OpenedModel, _ plan: Plan) throws -> GGUFExport {
    guard let mix = GGUFMix("f16") else { preconditionFailure("a mix without a name") }
    var layers: [String: LayerScheme] = [:]
    for layer in plan.layers {
      if let scheme = layer.scheme, scheme.weights != nil { layers[layer.module.name] = scheme }
    }
    return try GGUFExport(opened, mix: mix, layers: layers)
  }

  /// Leaves the complete file at the journal's output path.
  func write() throws {
    var blocks: [String: Int] = [:]
    for index in 0..<work.plan.model.blockCount {
      for layer in work.layers(index) { blocks[layer.module.name] = index }
    }
    // Tensors come block after block, so that one block's layers are held at a time.
    var held: (index: Int, layers: [String: QuantizedTensor])?
    let extra = [
      ("halftone.version", Version.record.halftone),
      ("halftone.recipe", run.options.recipe.canonicalText),
      ("halftone.seed", String(run.options.seed)),
    ]
    try Self.export(work.opened, work.plan).write(to: journal.outputPath, extra: extra) { module in
      guard let index = blocks[module] else { return nil }
      if held?.index != index {
        let result = try journal.block(index, layers: work.layers(index))
        let layers = result.layers.map { ($0.record.name, $0.weight) }
        held = (index, Dictionary(layers) { first, _ in first })
      }
      return held?.layers[module]
    }
  }
}
