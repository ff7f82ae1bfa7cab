import Foundation
public import HalftoneCheckpoints
import HalftoneTensor

/// Writes a llama2.c model's tensors as a Hugging Face directory, unchanged in type and value.
public struct ModelConversion: Sendable {
  private let store: any WeightStore
  private let model: String

  /// Takes the path `store` was opened from, beside which its tokenizer lies, as `model`.
  public init(store: any WeightStore, model: String) {
    self.store = store
    self.model = model
  }

  /// Writes the directory at `path`, which appears complete or not at all.
  ///
  /// - Throws: ``PipelineError`` if the model is no llama2.c file or something is in the way; what
  ///   reading and writing throws.
  public func write(to path: String, overwriting: Bool = false) throws {
    guard store is Llama2CCheckpoint else {
      throw PipelineError(
        .badInput,
        "no llama2.c checkpoint, and no other becomes a directory in this version; name a .bin",
        at: model)
    }
    var options = QuantizationOptions(
      model: model, recipe: try Recipe.load("rtn-w4a16"), output: path)
    options.overwrite = overwriting
    let target = OutputTarget(path)
    try target.check(options)
    let journal = try Journal(output: target.path)
    do {
      try journal.clear()
      try SystemFile.createDirectory(journal.outputPath)
      try writeFiles(journal.outputPath)
      try target.publish(journal)
    } catch {
      try? journal.remove()
      throw error
    }
    try journal.remove()
  }

  private func writeFiles(_ directory: String) throws {
    let writer = try SafetensorsWriter(
      path: directory + "/model.safetensors",
      tensors: try store.names.map { try store.description(of: $0) })
    for name in store.names { try store.withBytes(of: name) { try writer.write(name, $0) } }
    try writer.finish()
    let config = Data((store.config.serialized() + "\n").utf8)
    try SystemFile.write(config, to: directory + "/config.json")
    let tokenizer = try OpenedModel(path: model).llama2CTokenizer()
    let data = try Data(contentsOf: URL(fileURLWithPath: tokenizer), options: .mappedIfSafe)
    try SystemFile.write(data, to: directory + "/tokenizer.bin")
  }
}
