import HalftoneCheckpoints
import HalftoneReport
import HalftoneTensor

extension QuantizationRun {
  /// The report of a finished run whose output is `written`; `earlier` are the seconds of processes before
  /// this one, and `extraBytes` what the steps added to the layers.
  func record(
    _ work: Work, _ written: OpenedModel, _ layers: [LayerRecord], _ blocks: [BlockRecord],
    extraBytes: Int = 0, earlier: Double = 0
  ) throws -> RunRecord {
    let elapsed = (ContinuousClock().now - work.start) / .seconds(1)
    let calibration = work.calibration
    var warnings = work.plan.warnings + (calibration?.warnings ?? [])
    if calibration == nil {
      warnings.append("no calibration text: errors are those of the weights, not of outputs")
    }
    return RunRecord(
      model: options.model, recipe: options.recipe.source, seed: options.seed,
      versions: Version.record,
      bitsPerWeight: work.plan.bitsPerWeight(extraBytes: extraBytes),
      bytesBefore: try work.opened.store.byteCount(), bytesAfter: try written.store.byteCount(),
      seconds: elapsed + earlier,
      peakBytes: ProcessMemory.peakBytes,
      calibration: calibration.map {
        RunRecord.Calibration(
          files: $0.files, samples: $0.training.count, length: $0.length,
          heldOut: $0.heldOut.count, heldOutIsSeparate: $0.heldOutIsSeparate)
      },
      evaluation: try evaluation(work, written), warnings: warnings, layers: layers,
      blocks: blocks)
  }

  private func evaluation(
    _ work: Work, _ written: OpenedModel
  ) throws -> RunRecord.Evaluation? {
    guard let measurement, let before = work.perplexityBefore,
      let after = try perplexity(written, work.tokenizer)
    else { return nil }
    return RunRecord.Evaluation(
      text: measurement.text, context: measurement.context, tokens: after.tokens,
      perplexityBefore: before.value, perplexityAfter: after.value)
  }

  /// Puts the report and the recipe beside the weights.
  func addReport(_ record: RunRecord, to writer: CompressedTensorsWriter) throws {
    try writer.addFile("report.json", Array(try record.json()))
    try writer.addFile("report.html", Array(HTMLReport.render(record).utf8))
    try writer.addFile("recipe.yaml", Array(options.recipe.canonicalText.utf8))
  }
}
