public import HalftoneCheckpoints
public import HalftoneLayers
public import HalftoneTokenizers
import Foundation
import HalftoneModels
import HalftoneTensor

/// A model on disk, ready to run: its tensors, its network, its tokenizer.
public struct OpenedModel: Sendable {
  /// As given.
  public let path: String
  public let store: any WeightStore
  public let model: any LanguageModel

  /// Opens a Hugging Face directory, a `.gguf` file or a llama2.c `.bin` file.
  ///
  /// Weights are read when used.
  ///
  /// - Throws: what the checkpoint or the configuration is refused for, naming file and tensor.
  public init(path: String) throws {
    self.path = path
    store = try Self.store(path)
    do {
      model = try ModelCatalog.model(
        configuration: Self.configuration(store), weights: StoredWeights(store: store))
    } catch let error as ModelError where store is GGUFCheckpoint {
      throw PipelineError(
        .badInput,
        "its metadata and tensors, put as a Hugging Face config.json, are not those of a model that "
          + "can run; get the file again (\(error))", at: path)
    }
  }

  /// The tensors at `path`, without a network over them.
  public static func store(_ path: String) throws -> any WeightStore {
    guard SystemFile.exists(path) else {
      throw PipelineError(
        .missing,
        "no such model; name a Hugging Face directory, a .gguf file or a llama2.c .bin file",
        at: path)
    }
    if SystemFile.isDirectory(path) { return try Checkpoint(path: path) }
    if path.hasSuffix(".gguf") || GGUFCheckpoint.isGGUF(path) {
      return try GGUFCheckpoint(path: path)
    }
    guard path.hasSuffix(".bin") else {
      throw PipelineError(
        .badInput,
        "not a model; name a Hugging Face directory, a .gguf file or a llama2.c .bin file",
        at: path)
    }
    return try Llama2CCheckpoint(path: path)
  }

  private static func configuration(_ store: any WeightStore) -> Data {
    Data(store.config.serialized().utf8)
  }

  /// Whether any linear layer is stored in codes.
  public var isQuantized: Bool {
    let suffixes = [".weight_packed", ".weight_scale", ".qweight", ".scales"]
    return store is GGUFCheckpoint
      || store.names.contains { name in suffixes.contains { name.hasSuffix($0) } }
  }

  /// The layers and sizes of the model, from the shapes alone.
  ///
  /// - Throws: ``PipelineError`` if it is quantized already.
  public func layout() throws -> ModelLayout {
    try ModelLayout(of: model, source: path, byteCount: store.byteCount()) { module in
      guard !store.contains(module + ".weight_packed"), !store.contains(module + ".qweight"),
        !store.contains(module + ".scales"),
        ![.int8, .int32, .float8e4m3, .float8e5m2].contains(
          try store.storedType(of: module + ".weight")),
        try store.description(of: module + ".weight").blocks == nil
      else {
        throw PipelineError(
          .badInput, "\(module) is quantized already; start from the original model", at: path)
      }
      return try store.description(of: module + ".weight").byteCount
    }
  }

  /// The tokenizer in the directory, or beside a llama2.c file: `tokenizer.bin`, or `tokN.bin` for
  /// N words.
  public func tokenizer() throws -> any Tokenizer {
    if SystemFile.isDirectory(path) { return try Tokenizers.load(directory: path) }
    if let checkpoint = store as? GGUFCheckpoint { return try tokenizer(of: checkpoint) }
    return try Tokenizers.load(
      llama2cTokenizer: llama2CTokenizer(), vocabularySize: model.vocabularySize)
  }

  private func tokenizer(of checkpoint: GGUFCheckpoint) throws -> any Tokenizer {
    let vocabulary = try checkpoint.vocabulary()
    guard vocabulary.tokens.count >= model.vocabularySize else {
      throw PipelineError(
        .badInput,
        "tokenizer.ggml.tokens has \(vocabulary.tokens.count) tokens for an embedding of "
          + "\(model.vocabularySize) rows; convert the model again", at: path)
    }
    return try Tokenizers.load(vocabulary, file: path)
  }

  /// The template that turns a conversation into a prompt, if the model names one.
  public var chatTemplate: String? { (store as? GGUFCheckpoint)?.chatTemplate }

  /// The vocabulary beside a llama2.c file.
  func llama2CTokenizer() throws -> String {
    let directory = (path as NSString).deletingLastPathComponent as NSString
    let names = ["tokenizer.bin", "tok\(model.vocabularySize).bin"]
    let files = names.map { directory.appendingPathComponent($0) }
    guard let file = files.first(where: SystemFile.exists) else {
      throw PipelineError(
        .missing, "no tokenizer beside it; put \(names.joined(separator: " or ")) there", at: path)
    }
    return file
  }

  /// Hash of what a result depends on: the tensors, the configuration and the tokenizer's files.
  public func digest() throws -> UInt64 {
    var hash = [ContentHash.of(Self.configuration(store))]
    for name in store.names {
      let tensor = try store.description(of: name)
      hash.append(ContentHash.of(Data("\(name) \(tensor.type) \(tensor.shape)".utf8)))
      hash.append(try store.withBytes(of: name) { ContentHash.of($0) })
      store.evict(name)
    }
    for file in tokenizerFiles {
      hash.append(ContentHash.of(Data((file as NSString).lastPathComponent.utf8)))
      let mapped = try MappedFile(path: file)
      hash.append(withExtendedLifetime(mapped) { ContentHash.of(mapped.bytes) })
    }
    return hash.withUnsafeBytes { ContentHash.of($0) }
  }

  private var tokenizerFiles: [String] {
    if let checkpoint = store as? GGUFCheckpoint { return checkpoint.files.map(\.path) }
    guard SystemFile.isDirectory(path) else { return (try? llama2CTokenizer()).map { [$0] } ?? [] }
    let others = ["vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json"]
    let directory = path as NSString
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return entries.sorted().filter { $0.hasPrefix("tokenizer") || others.contains($0) }
      .map { directory.appendingPathComponent($0) }.filter { !SystemFile.isDirectory($0) }
  }
}
