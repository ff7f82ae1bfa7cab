import HalftoneCheckpoints
import HalftoneMethods
import HalftoneReport
import HalftoneSchemes
import HalftoneTensor

/// The GGUF file of a finished run: layers with the codes that the run found, the rest as F16.
struct GGUFOutput {
  let run: QuantizationRun
  let work: QuantizationRun.Work
  let journal: Journal

  /// - Throws: ``PipelineError`` for a recipe whose steps add to layers what no GGUF file holds.
  static func check(_ plan: Plan) throws {
    guard plan.recipe.cache == nil else {
      throw PipelineError(
        .usage,
        "--format gguf has no place for scheme.cache; leave it out, or write a directory",
        at: plan.recipe.source)
    }
    let adding = plan.recipe.steps.filter { step in
      plan.layers.contains { layer in
        layer.scheme.map {
          step.part.extraBytes($0, rows: layer.module.rows, columns: layer.module.columns) > 0
        } ?? false
      }
    }
    guard let step = adding.first else { return }
    throw PipelineError(
      .usage,
      "--format gguf has no place for what '\(step.name)' adds to the layers (line \(step.line)); "
        + "leave the step out, or write a directory", at: plan.recipe.source)
  }

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
    try Self.export(work.opened, work.plan).write(
      to: journal.outputPath, extra: extra, parameters: try parameters()
    ) { module in
      guard let index = blocks[module] else { return nil }
      if held?.index != index {
        let result = try journal.block(index, layers: work.layers(index))
        try result.layers.forEach(check)
        let layers = result.layers.map { ($0.record.name, $0.weight) }
        held = (index, Dictionary(layers) { first, _ in first })
      }
      return held?.layers[module]
    }
  }

  /// The tensors that the recipe's transforms changed.
  private func parameters() throws -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for index in 0..<work.plan.model.blockCount {
      let block = try journal.block(index, layers: work.layers(index))
      result.merge(block.parameters) { _, new in new }
    }
    return result
  }

  private func check(_ layer: BlockResult.Layer) throws {
    guard try layer.additions.tensors().isEmpty else {
      throw PipelineError(
        .usage,
        "\(layer.record.name) holds outliers, low-rank factors or a new bias, for which --format gguf "
          + "has no place; write a directory", at: run.options.output)
    }
  }
}
