import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftoneMethods
import HalftoneReport
import HalftoneSchemes
import HalftoneTensor

/// A block's result as one safetensors file, complete or absent.
extension BlockResult {
  /// What a layer's tensors do not say.
  private struct Note: Codable {
    var record: LayerRecord
    var format: String
    var inputs: Inputs?

    enum Inputs: Codable {
      case token(format: String, symmetric: Bool, outliers: Float?)
      case fixed(zero: Float, format: String)
    }
  }

  private struct Notes: Codable {
    var block: BlockRecord
    var layers: [Note]
    /// Names of the changed parameters; nil for none.
    var parameters: [String]?
  }

  func write(to path: String, durably: Bool = true) throws {
    var tensors: [(String, Tensor)] = []
    var notes = Notes(block: record, layers: [])
    for layer in layers {
      let name = layer.record.name
      var note = Note(record: layer.record, format: layer.weight.format.name)
      tensors.append((name + ".codes", layer.weight.codes))
      tensors.append((name + ".scales", layer.weight.levels[0]))
      if layer.weight.levels.count > 1 {
        tensors.append((name + ".unit", layer.weight.levels[1]))
      }
      if let nested = layer.weight.nested {
        tensors += [
          (name + ".scale_codes", nested.codeTensor), (name + ".scale_units", Tensor(nested.units)),
          (name + ".scale_mean", Tensor([nested.mean])),
        ]
      }
      if let zeros = layer.weight.zeroPoints { tensors.append((name + ".zeros", zeros)) }
      tensors += try layer.additions.tensors().map { (name + "." + $0.suffix, $0.tensor) }
      switch layer.inputs {
      case nil: break
      case .dynamic(let scheme):
        note.inputs = .token(
          format: scheme.format.name, symmetric: scheme.symmetric,
          outliers: scheme.outlierThreshold)
      case .groups: preconditionFailure("no recipe asks for inputs in groups")
      case .fixed(let step, let zero, let format, _):
        note.inputs = .fixed(zero: zero, format: format.name)
        tensors.append((name + ".step", step.detached))
      }
      notes.layers.append(note)
    }
    for (name, tensor) in parameters.sorted(by: { $0.key < $1.key }) {
      notes.parameters = (notes.parameters ?? []) + [name]
      tensors.append(("parameter " + name, tensor))
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let text = String(decoding: try encoder.encode(notes), as: UTF8.self)
    try TensorFile.write(tensors, metadata: ["halftone": text], to: path, durably: durably)
  }

  /// - Throws: ``PipelineError`` if the file does not hold what the plan expects.
  init(path: String, layers expected: [Plan.Layer]) throws {
    let file = try SafetensorsFile(path: path)
    guard let text = file.metadata["halftone"],
      let notes = try? JSONDecoder().decode(Notes.self, from: Data(text.utf8)),
      notes.layers.map(\.record.name) == expected.map(\.module.name)
    else {
      throw PipelineError(
        .badInput, "does not hold the layers of its block; start again with --overwrite", at: path)
    }
    record = notes.block
    layers = try zip(notes.layers, expected).map { note, layer in
      let restored = try Self.layer(note, file)
      guard restored.weight.shape == [layer.module.rows, layer.module.columns] else {
        throw PipelineError(
          .badInput, "\(layer.module.name) has another shape; start again with --overwrite",
          at: path)
      }
      return restored
    }
    for name in notes.parameters ?? [] {
      parameters[name] = try file.tensor("parameter " + name).copied()
    }
  }

  private static func layer(_ note: Note, _ file: SafetensorsFile) throws -> Layer {
    let name = note.record.name
    func tensor(_ suffix: String) throws -> Tensor { try file.tensor(name + suffix).copied() }
    func optional(_ suffix: String) throws -> Tensor? {
      file.contains(name + suffix) ? try tensor(suffix) : nil
    }
    func format(_ word: String) throws -> any NumberFormat {
      guard let format = NumberFormats.named(word) else {
        throw SchemeError("\(name): \(NumberFormats.unknown(word))")
      }
      return format
    }
    let shape = try file.description(of: name + ".codes").shape
    let additions = try LayerAdditions(rows: shape[0], columns: shape[1]) { try optional("." + $0) }
    let nested = try optional(".scale_codes").map { codes in
      try NestedScales.loaded(
        codes: codes.withBytes { Array($0) }, units: tensor(".scale_units").values,
        mean: tensor(".scale_mean").scalar)
    }
    let weight = try QuantizedTensor(
      shape: shape, format: try format(note.format), codes: tensor(".codes"),
      levels: [tensor(".scales")] + [optional(".unit")].compactMap { $0 },
      zeroPoints: optional(".zeros"), outliers: additions.outliers, nested: nested)
    let inputs: InputQuantizer? =
      switch note.inputs {
      case nil: nil
      case .token(let word, let symmetric, let outliers):
        .dynamic(
          InputScheme(
            format: try format(word), granularity: .token, symmetric: symmetric, dynamic: true,
            outlierThreshold: outliers))
      case .fixed(let zero, let word):
        .fixed(
          step: try tensor(".step"), zero: zero, format: try format(word), gradientScale: 1)
      }
    return Layer(
      LayerSolution(
        weight: weight, inputs: inputs, bias: additions.bias, lowRank: additions.lowRank),
      record: note.record)
  }
}

/// Writes a few tensors as one safetensors file.
enum TensorFile {
  static func write(
    _ tensors: [(String, Tensor)], metadata: [String: String] = [:], to path: String,
    durably: Bool = true
  ) throws {
    let writer = try SafetensorsWriter(
      path: path,
      tensors: tensors.map {
        TensorDescription(name: $0.0, type: StoredType($0.1.elementType), shape: $0.1.shape)
      }, metadata: metadata)
    for (name, tensor) in tensors { try writer.write(name, tensor) }
    try writer.finish(durably: durably)
  }
}
