import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftoneMethods
import HalftoneReport
import HalftoneSchemes
import HalftoneTensor

/// A run that looks at nothing but the weights: each is read, rounded and written once, in the order of
/// the blocks, and no block is kept for later.
///
/// Memory is bounded by the largest layer. A run that is stopped or fails leaves nothing, and begins again
/// in less time than a journal of its blocks would take to write.
struct StreamedRun {
  let run: QuantizationRun
  let work: QuantizationRun.Work

  /// Whether a run consists of rounding weights to nearest, written as compressed-tensors.
  static func serves(_ plan: Plan, _ options: QuantizationOptions) -> Bool {
    options.calibration.isEmpty && options.format == .compressedTensors && plan.isRounding
  }

  func callAsFunction(_ target: OutputTarget) throws -> RunRecord {
    let journal = try Journal(output: target.path)
    if run.options.resume, journal.hasBegun {
      // Blocks of another recipe took time to make: they are not thrown away by mistake.
      try journal.checkSame(try run.fingerprint(work, model: journal.fingerprint?.model))
    }
    do {
      try journal.clear()
      let record = try write(to: journal.outputPath)
      try target.publish(journal)
      try journal.remove()
      return record
    } catch {
      try? journal.remove()
      throw error
    }
  }

  private func write(to path: String) throws -> RunRecord {
    let writer = try writer(path)
    var layers: [WrittenLayer] = []
    var blocks: [BlockRecord] = []
    let count = work.plan.model.blockCount
    for index in 0..<count {
      if run.shouldStop() { throw interruption(index, count) }
      let start = ContinuousClock().now
      run.progress(
        RunProgress(
          phase: "block \(index + 1) of \(count)", fraction: Double(index) / Double(count)))
      for layer in work.layers(index) { layers.append(try write(layer, writer)) }
      blocks.append(
        BlockRecord(
          index: index, iterations: 0, seconds: (ContinuousClock().now - start) / .seconds(1)))
    }
    if run.shouldStop() { throw interruption(count, count) }
    run.progress(RunProgress(phase: "writing", fraction: 1))
    let staging = try writer.complete()
    run.progress(RunProgress(phase: "verifying", fraction: 1))
    let written = try OpenedModel(path: staging)
    try verify(layers, written)
    let record = try run.record(work, written, layers.map(\.record), blocks)
    try run.addReport(record, to: writer)
    try writer.publish()
    return record
  }

  /// Lays the files out, once all that is carried over is known to be numbers.
  private func writer(_ path: String) throws -> CompressedTensorsWriter {
    let (modules, store) = (work.plan.writtenModules, work.opened.store)
    var options = CompressedTensorsWriter.Options()
    if !modules.allSatisfy(\.isShared) { options.method = .halftone }
    let weights = Set(modules.map { $0.name + ".weight" })
    for name in store.names where !weights.contains(name) {
      try store.checkFinite(name)
      store.evict(name)
    }
    return try CompressedTensorsWriter(
      output: path, template: store, modules: modules, options: options)
  }

  private func write(
    _ layer: Plan.Layer, _ writer: CompressedTensorsWriter
  ) throws -> WrittenLayer {
    let name = layer.module.name
    guard let scheme = layer.scheme, let weights = scheme.weights else {
      preconditionFailure("\(name) is not quantized")
    }
    let start = ContinuousClock().now
    guard case .dense(let stored) = try work.opened.store.linearWeight(name) else {
      throw PipelineError(
        .badInput, "\(name) is quantized already; start from the original model",
        at: run.options.model)
    }
    let rounded = try weights.rounded(stored)
    // Names the first element that is no number.
    if !rounded.isFinite { try work.opened.store.checkFinite(name + ".weight") }
    let errors = [rounded.plainSquaredError, rounded.squaredError].map {
      LayerErrors.ratio($0, rounded.squares)
    }
    guard errors.allSatisfy(\.isFinite), rounded.squares.isFinite else {
      throw PipelineError(
        .badInput, "the weights of \(name) are too large: their squares exceed 32-bit floats",
        at: run.options.model)
    }
    try writer.write(name, rounded.weight)
    var record = LayerRecord(
      name: name, scheme: Plan.describe(scheme), method: RoundToNearest.name,
      errorBefore: errors[0], errorAfter: errors[1], errorRTN: errors[1],
      seconds: (ContinuousClock().now - start) / .seconds(1), warnings: [])
    record.choices = layer.choice?.records
    return WrittenLayer(
      scheme: scheme, digest: WrittenLayer.digest(rounded.weight), record: record)
  }

  /// Every layer is read back as other programs read it, and compared by its hash.
  private func verify(_ layers: [WrittenLayer], _ written: OpenedModel) throws {
    let weights = StoredWeights(store: written.store)
    for layer in layers {
      let name = layer.record.name
      guard case .quantized(let stored) = try weights.linearWeight(name),
        WrittenLayer.digest(stored) == layer.digest
      else { throw mismatch(name, "its weights differ from those that were measured") }
      // Codes of a byte each are the file's own pages, which the hash has read.
      stored.codes.evict()
      guard try written.store.storedInputScheme(name) == layer.scheme.inputs.map({ .dynamic($0) })
      else { throw mismatch(name, "its input quantizer differs from the recipe's") }
    }
  }

  private func mismatch(_ name: String, _ problem: String) -> PipelineError {
    PipelineError(
      .inputOutput, "\(name) did not survive writing: \(problem); check the disk",
      at: run.options.output)
  }

  private func interruption(_ done: Int, _ count: Int) -> PipelineError {
    PipelineError(
      .interrupted,
      "stopped with \(done) of \(count) blocks finished; rounding to nearest keeps none of them: the same "
        + "command, with --resume or without, starts again", at: run.options.output)
  }
}

/// What is remembered of a layer that was written.
private struct WrittenLayer {
  let scheme: LayerScheme
  let digest: [UInt64]
  let record: LayerRecord

  /// Of the codes, the scales and the zero points, whose zeros have no sign.
  static func digest(_ weight: QuantizedTensor) -> [UInt64] {
    let zeros = weight.zeroPoints.map { [$0.converted(to: .int8)] } ?? []
    return ([weight.codes] + weight.levels + zeros).map { tensor in
      tensor.withBytes { ContentHash.of($0) }
    }
  }
}
