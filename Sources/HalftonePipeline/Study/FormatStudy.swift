import HalftoneCheckpoints
import Foundation
import HalftoneLayers
import HalftoneModels
public import HalftoneReport
public import HalftoneSchemes
import HalftoneTensor
import HalftoneTokenizers

/// Rounds a model's own tensors to many formats and measures what each costs: `halftone study formats`.
public struct FormatStudy {
  /// A format with its granularity, as one line of the study.
  public struct Choice: Sendable {
    /// The recipe's word.
    public let word: String
    public let scheme: WeightScheme

    /// Groups and scales are those of `word` where it settles them, else `granularity`.
    ///
    /// - Throws: `SchemeError` for a word that is no format.
    public init(_ word: String, _ granularity: Granularity, range: RangeRule) throws(SchemeError) {
      var fields = WeightFields()
      (fields.type, fields.granularity, fields.range) = (word, granularity, range)
      guard let scheme = try fields.scheme() else { throw NumberFormats.unknown(word) }
      self.word = word
      self.scheme = scheme
    }
  }

  /// The formats of the study where none are asked for.
  public static let usualWords =
    (2...8).map { "int\($0)" }
    + ["ternary", "e2m0", "e1m2", "e2m1", "e3m0", "nf4", "twin-log4", "e2m2", "e3m1"]
    + ["e2m3", "e3m2", "e2m4", "e3m3", "e2m5", "e3m4", "e4m3", "e5m2"]
    + ["mxfp4", "nvfp4", "mxfp6", "mxfp6-e3m2", "mxfp8", "mxint8"]

  public var choices: [Choice]
  /// Texts whose activations weigh the errors; without, only the tensors themselves are compared.
  public var calibration: [String] = []
  public var size = CalibrationSize(samples: 8, length: 256)
  /// Rows of each layer's input that outputs are compared on.
  public var rows = 512
  public var progress: (Double) -> Void = { _ in }

  public init(choices: [Choice]) { self.choices = choices }

  /// The study of `opened`.
  ///
  /// - Throws: what reading the model and the texts throws; ``PipelineError`` for a model that is quantized
  ///   already.
  public func callAsFunction(_ opened: OpenedModel) throws -> FormatStudyRecord {
    guard !opened.isQuantized else {
      throw PipelineError(
        .badInput, "is quantized already; study the original model", at: opened.path)
    }
    let model = opened.model
    var stream = try activations(opened)
    var totals = choices.map { _ in Totals() }
    var inputTotals = choices.map { _ in Totals() }
    let skipped = Self.layersThatDoNotFit(model, choices)
    for index in 0..<model.blockCount {
      let block = try model.block(index).densified()
      var inputs: [String: Tensor] = [:]
      if let x = stream {
        stream = outputs(of: block, x, model, &inputs)
      }
      let layers = block.linears
      for (position, layer) in layers.enumerated() {
        try opened.store.checkFinite(layer.name + ".weight")
        let input = inputs[layer.name]
        try measure(layer, input, &totals)
        if let input { measureInputs(input, &inputTotals) }
        progress(
          (Double(index) + Double(position + 1) / Double(layers.count)) / Double(model.blockCount))
      }
    }
    return record(opened, totals, inputTotals, skipped)
  }

  // MARK: - Activations

  private func activations(_ opened: OpenedModel) throws -> Tensor? {
    guard !calibration.isEmpty else { return nil }
    let text = try Calibration(files: calibration, size: size, tokenizer: opened.tokenizer())
    return try opened.model.embed(Array(text.ids.prefix(size.samples * size.length)))
  }

  /// What `block` makes of the samples; `inputs` gets every so-many-th row of what its layers read.
  private func outputs(
    of block: any TransformerBlock, _ x: Tensor, _ model: any LanguageModel,
    _ inputs: inout [String: Tensor]
  ) -> Tensor {
    var kept: [String: [Float]] = [:]
    var widths: [String: Int] = [:]
    var outputs: [Tensor] = []
    let step = max(1, size.samples * size.length / rows)
    for sample in 0..<size.samples {
      var context = model.context(batch: 1, length: size.length, start: 0)
      context.observe = { name, input in
        widths[name] = input.columns
        input.withElements { values in
          for row in stride(from: sample % step, to: input.rows, by: step) {
            kept[name, default: []] += values[row * input.columns..<(row + 1) * input.columns]
          }
        }
      }
      outputs.append(block(x.view(sample * size.length..<(sample + 1) * size.length), context))
    }
    for (name, values) in kept {
      guard let width = widths[name] else { continue }
      inputs[name] = Tensor(values, shape: [values.count / width, width])
    }
    return Tensor(shape: x.shape) { out in
      var start = 0
      for output in outputs {
        output.withElements { values in
          for (i, value) in values.enumerated() { out[start + i] = value }
        }
        start += output.count
      }
    }
  }

  // MARK: - Errors

  /// Sums over layers.
  private struct Totals {
    var decibels = 0.0
    var least = Double.infinity
    var logError = 0.0
    var layers = 0
    var bits = 0.0
    var weights = 0.0
    var tensors: [FormatStudyRecord.Tensor] = []
  }

  private func measure(_ layer: Linear, _ input: Tensor?, _ totals: inout [Totals]) throws {
    let weights = layer.weight.dense()
    let reference = input.map { $0.linear(weights) }
    for (i, choice) in choices.enumerated() {
      guard choice.fits(columns: weights.columns) else { continue }
      let table = try choice.scheme.grids(for: weights)
      let quantized = try table.quantize(weights, format: choice.scheme.format)
      let rounded = quantized.dequantized()
      let noise = Self.ratio(weights, rounded)
      let decibels = -10 * log10(noise)
      let error = reference.flatMap { y in input.map { Self.ratio(y, $0.linear(rounded)) } }
      let bits =
        Double(choice.scheme.format.bits)
        + Double(choice.scheme.scales.storedBits(rows: table.scales.rows, groups: table.groups))
        / Double(weights.count)
      totals[i].decibels += decibels
      totals[i].least = min(totals[i].least, decibels)
      totals[i].logError += log(error ?? noise)
      totals[i].layers += 1
      totals[i].bits += bits * Double(weights.count)
      totals[i].weights += Double(weights.count)
      totals[i].tensors.append(
        FormatStudyRecord.Tensor(
          name: layer.name, signalToNoise: decibels, outputError: error))
    }
  }

  /// Rounded per token with the range of each, as dynamic inputs are.
  private func measureInputs(_ input: Tensor, _ totals: inout [Totals]) {
    for (i, choice) in choices.enumerated()
    where choice.scheme.scales == .float && !(choice.scheme.format is OutlierVictimFormat) {
      let format = choice.scheme.format
      let rounded = input.fakeQuantizedTokens(
        bits: format.bits, symmetric: true, levels: format.levels)
      let decibels = -10 * log10(Self.ratio(input, rounded))
      totals[i].decibels += decibels
      totals[i].least = min(totals[i].least, decibels)
      totals[i].layers += 1
    }
  }

  /// Σ(x − y)² / Σx².
  private static func ratio(_ x: Tensor, _ y: Tensor) -> Double {
    var (noise, signal) = (0.0, 0.0)
    x.withElements { x in
      y.withElements { y in
        for i in x.indices {
          noise += Double(x[i] - y[i]) * Double(x[i] - y[i])
          signal += Double(x[i]) * Double(x[i])
        }
      }
    }
    return signal > 0 ? max(noise / signal, 1e-15) : 1e-15
  }

  /// Layers whose columns the groups of a choice do not divide.
  private static func layersThatDoNotFit(
    _ model: any LanguageModel, _ choices: [Choice]
  ) -> [String: Int] {
    let shapes = (0..<model.blockCount).flatMap { model.linearShapes(ofBlock: $0) }
    var result: [String: Int] = [:]
    for choice in choices {
      let count = shapes.count { !choice.fits(columns: $0.columns) }
      if count > 0 { result[choice.word] = count }
    }
    return result
  }

  // MARK: - The record

  private func record(
    _ opened: OpenedModel, _ totals: [Totals], _ inputs: [Totals], _ skipped: [String: Int]
  ) -> FormatStudyRecord {
    let longest =
      (0..<opened.model.blockCount).flatMap { opened.model.linearShapes(ofBlock: $0) }
      .map(\.columns).max() ?? 1
    var lines: [FormatStudyRecord.Line] = []
    for (i, choice) in choices.enumerated() where totals[i].layers > 0 {
      let (total, input, count) = (totals[i], inputs[i], Double(totals[i].layers))
      let cost = MultiplierCost(choice.scheme.format, length: longest)
      lines.append(
        FormatStudyRecord.Line(
          format: choice.word, granularity: "\(choice.scheme.granularity)",
          bitsPerWeight: total.bits / total.weights,
          signalToNoise: total.decibels / count, worstSignalToNoise: total.least,
          outputError: calibration.isEmpty ? nil : exp(total.logError / count),
          inputSignalToNoise: input.layers > 0 ? input.decibels / Double(input.layers) : nil,
          accumulatorBits: cost?.accumulatorBits, gates: cost?.gates,
          lookupTables: cost?.lookupTables, tensors: total.tensors))
    }
    return FormatStudyRecord(
      model: opened.path, calibration: calibration, dotProductLength: longest,
      range: choices.first?.scheme.range.rawValue ?? "", skippedLayers: skipped, lines: lines)
  }
}

extension FormatStudy.Choice {
  /// Whether a row of so many columns splits into groups.
  func fits(columns: Int) -> Bool {
    if case .group(let size) = scheme.granularity { columns % size == 0 } else { true }
  }
}
