import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftoneReport
import HalftoneSchemes
import HalftoneTensor

/// Writes the checkpoint of a finished run into its journal, reads it back, and adds the report.
struct OutputWriter {
  let run: QuantizationRun
  let work: QuantizationRun.Work
  let journal: Journal
  /// Blocks that an earlier process finished.
  let resumedBlocks: Int

  private var blockCount: Int { work.plan.model.blockCount }

  /// Leaves the complete directory at the journal's output path.
  func write() throws -> RunRecord {
    run.progress(RunProgress(phase: "writing", fraction: 1))
    try SystemFile.remove(journal.outputPath)
    let additions = try OutputAdditions(work, journal)
    if run.options.format == .gguf { return try writeGGUF(additions) }
    var options = CompressedTensorsWriter.Options()
    options.method = additions.method
    options.configuration = additions.configuration
    options.cache = work.plan.recipe.cache
    let writer = try CompressedTensorsWriter(
      output: journal.outputPath, template: work.opened.store,
      modules: work.plan.writtenModules,
      additions: additions.descriptions, options: options)
    try forEachBlock { block in
      for layer in block.layers {
        let name = layer.record.name
        try writer.write(name, layer.weight, inputs: Self.fixedRange(layer.inputs))
        for (suffix, tensor) in try layer.additions.tensors() {
          try writer.add("\(name).\(suffix)", tensor)
        }
      }
      for (name, tensor) in block.parameters { try writer.add(name, tensor) }
    }
    for (name, count) in additions.zeros {
      try writer.add(name, Tensor(repeating: 0, shape: [count]))
    }
    let staging = try writer.complete()
    run.progress(RunProgress(phase: "verifying", fraction: 1))
    let written = try OpenedModel(path: staging)
    try verify(written)
    let record = try record(written, additions)
    try run.addReport(record, to: writer)
    try writer.publish()
    return record
  }

  /// Leaves the complete file at the journal's output path.
  private func writeGGUF(_ additions: OutputAdditions) throws -> RunRecord {
    try GGUFOutput(run: run, work: work, journal: journal).write()
    run.progress(RunProgress(phase: "verifying", fraction: 1))
    let written = try OpenedModel(path: journal.outputPath)
    try verifyNumbers(written)
    return try record(written, additions)
  }

  /// Codes are kept; scales have been rounded to halves, which have eleven bits, and minima too.
  private func verifyNumbers(_ written: OpenedModel) throws {
    let weights = StoredWeights(store: written.store)
    try forEachBlock { block in
      for layer in block.layers { try verifyNumbers(layer, weights) }
    }
  }

  private func verifyNumbers(_ layer: BlockResult.Layer, _ weights: StoredWeights) throws {
    let stored = try weights.linearWeight(layer.record.name).dense()
    let measured = layer.weight.dequantized()
    let limit = measured.values.reduce(0) { max($0, abs($1)) } * 0x1p-9
    let isSame =
      stored.shape == measured.shape
      && zip(stored.values, measured.values).allSatisfy { abs($0 - $1) <= limit }
    guard isSame else {
      throw mismatch(
        layer.record.name, "its weights differ by more than the rounding of scales to halves")
    }
  }

  private static func fixedRange(_ inputs: InputQuantizer?) -> (scale: Float, zeroPoint: Float)? {
    guard case .fixed(let step, let zero, _, _) = inputs else { return nil }
    return (step.scalar, zero)
  }

  private func forEachBlock(_ body: (BlockResult) throws -> Void) throws {
    for index in 0..<blockCount { try body(journal.block(index, layers: work.layers(index))) }
  }

  // MARK: - Verification

  /// Every layer read back must be, bit for bit, the one that was measured.
  private func verify(_ written: OpenedModel) throws {
    let weights = StoredWeights(store: written.store)
    try forEachBlock { block in
      for (name, tensor) in block.parameters {
        guard try written.store.tensor(name).hasSameBits(as: tensor) else {
          throw mismatch(name, "it differs from what was measured")
        }
      }
      for layer in block.layers { try verify(layer, weights) }
    }
  }

  private func verify(_ layer: BlockResult.Layer, _ weights: StoredWeights) throws {
    let name = layer.record.name
    let stored = try weights.linearWeight(name).dense()
    guard stored.hasSameBits(as: layer.weight.dequantized()) else {
      throw mismatch(name, "its weights differ from those that were measured")
    }
    guard Self.same(try weights.inputQuantizer(name), layer.inputs) else {
      throw mismatch(name, "its input quantizer differs from the one that was measured")
    }
    let factors = try weights.lowRank(name)
    for (read, own) in [
      (factors?.left, layer.lowRank?.left), (factors?.right, layer.lowRank?.right),
      (layer.bias == nil ? nil : try weights.tensor(name + ".bias"), layer.bias),
    ] {
      guard
        read == nil && own == nil
          || read.flatMap({ a in own.map { a.hasSameBits(as: $0) } }) == true
      else { throw mismatch(name, "its low-rank factors or its bias differ from those measured") }
    }
  }

  private func mismatch(_ name: String, _ problem: String) -> PipelineError {
    PipelineError(
      .inputOutput, "\(name) did not survive writing: \(problem); check the disk",
      at: run.options.output)
  }

  private static func same(_ a: InputQuantizer?, _ b: InputQuantizer?) -> Bool {
    switch (a, b) {
    case (nil, nil): true
    case (.dynamic(let scheme), .dynamic(let other)): scheme == other
    case (.fixed(let step, let zero, let format, _), .fixed(let s, let z, let other, _)):
      step.scalar == s.scalar && zero == z && format.name == other.name
    default: false
    }
  }

  // MARK: - Report

  private func record(
    _ written: OpenedModel, _ additions: OutputAdditions
  ) throws -> RunRecord {
    var layers: [LayerRecord] = []
    var blocks: [BlockRecord] = []
    for index in 0..<blockCount {
      let result = try journal.block(index, layers: work.layers(index))
      layers += result.layers.map(\.record)
      blocks.append(result.record)
    }
    return try run.record(
      work, written, layers, blocks, extraBytes: additions.layerBytes,
      earlier: blocks.prefix(resumedBlocks).reduce(0) { $0 + $1.seconds })
  }
}
