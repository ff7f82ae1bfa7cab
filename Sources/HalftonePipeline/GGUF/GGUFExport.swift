import Foundation
public import HalftoneCheckpoints
import HalftoneLayers
import HalftoneModels
import HalftoneSchemes
import HalftoneTensor
import HalftoneTokenizers

/// Writes a model as a GGUF file, its matrices rounded to the types of a mix.
///
/// Layers that are quantized already keep their codes where a type holds them.
public struct GGUFExport {
  /// What a tensor becomes.
  public struct Entry: Sendable {
    /// Its Hugging Face name.
    public let name: String
    /// Its name in the file.
    public let stored: String
    public let shape: [Int]
    public let type: GGUFTensorType
  }

  public let entries: [Entry]
  /// What is not as the mix or the model has it, a sentence each.
  public let notices: [String]
  private let opened: OpenedModel
  private let metadata: GGUFModelMetadata
  /// Layers whose codes are kept, by module.
  private let kept: [String: BlockType]

  /// Decides what every tensor of `opened` becomes; reads no weights.
  ///
  /// `layers` are linear layers with new weights to come, by module.
  /// - Throws: ``PipelineError`` for a network or tokenizer that no GGUF file holds.
  public init(_ opened: OpenedModel, mix: GGUFMix) throws {
    try self.init(opened, mix: mix, layers: [:])
  }

  init(_ opened: OpenedModel, mix: GGUFMix, layers: [String: LayerScheme]) throws {
    self.opened = opened
    let configuration = try LlamaConfiguration(
      Data(opened.store.config.serialized().utf8))
    let name = ((opened.path as NSString).lastPathComponent as NSString).deletingPathExtension
    var metadata = GGUFModelMetadata(configuration, name: name)
    metadata.add(mix)
    try metadata.add(
      try opened.ggufVocabulary(), template: opened.chatTemplate, at: opened.path)
    self.metadata = metadata
    if (opened.store as? Checkpoint)?.isOwnFormat ?? false {
      throw PipelineError(
        .badInput,
        "its layers hold low-rank factors, outliers, biases, or scales or formats of Halftone's "
          + "own, that no GGUF file has a place for; begin with the original model", at: opened.path
      )
    }
    var plan = GGUFTensorPlan(opened, configuration, mix)
    for (module, scheme) in layers { plan.announce(module, scheme) }
    entries = try plan.entries()
    kept = plan.kept
    let cache = try (opened.store as? Checkpoint)?.cacheScheme().map {
      "keys and values are cached as \($0), which no GGUF file says; this is left out"
    }
    notices = metadata.notices + plan.notices + [cache].compactMap { $0 }
  }

  /// The bytes of all tensors.
  public var byteCount: Int {
    entries.reduce(0) { $0 + ($1.type.byteCount(of: $1.shape) ?? 0) }
  }

  /// Writes the file at `path`, which appears complete or not at all.
  ///
  /// - Throws: ``PipelineError`` if something is in the way; what reading and writing throws.
  public func write(to path: String, overwriting: Bool = false) throws {
    try Self.check(path, overwriting: overwriting, model: opened.path)
    try write(to: path, extra: [], weight: { _ in nil })
  }

  /// `weight` gives the new weight of a module, or nil for the model's own; `parameters` are other
  /// tensors that changed, by name.
  func write(
    to path: String, extra: [(key: String, value: String)], parameters: [String: Tensor] = [:],
    weight: (String) throws -> QuantizedTensor?
  ) throws {
    var metadata = metadata
    for (key, value) in extra { metadata.set(key, to: value) }
    var tensors = entries.map {
      GGUFWriter.Tensor(name: $0.stored, type: $0.type, shape: $0.shape)
    }
    if let divisors = metadata.divisors {
      tensors.append(
        GGUFWriter.Tensor(
          name: "rope_freqs.weight", type: .plain(.float32), shape: [divisors.count]))
    }
    let writer = try GGUFWriter(path: path, metadata: metadata.metadata, tensors: tensors)
    for entry in entries {
      let module = String(entry.name.dropLast(".weight".count))
      if let changed = parameters[entry.name] {
        try encoded(changed, entry, rowOrder(entry))
          .withBytes { try writer.write(entry.stored, $0) }
      } else {
        try writeTensor(entry, to: writer, weight: try weight(module))
      }
      opened.store.evict(entry.name)
    }
    if let divisors = metadata.divisors {
      try Tensor(divisors).withBytes { try writer.write("rope_freqs.weight", $0) }
    }
    try writer.finish()
  }

  private func writeTensor(
    _ entry: Entry, to writer: GGUFWriter, weight: QuantizedTensor?
  ) throws {
    let order = rowOrder(entry)
    if let weight {
      return try bytes(of: weight, entry, order).withBytes { try writer.write(entry.stored, $0) }
    }
    guard entry.shape.count == 2 else {
      let tensor = Self.ordered(try opened.store.tensor(entry.name), order)
      return try tensor.float().withBytes { try writer.write(entry.stored, $0) }
    }
    switch try opened.store.linearWeight(String(entry.name.dropLast(".weight".count))) {
    case .quantized(let tensor):
      try bytes(of: tensor, entry, order).withBytes { try writer.write(entry.stored, $0) }
    case .blocks(let matrix) where entry.type == .blocks(matrix.type) && matrix.rowOrder == order:
      try matrix.bytes.withBytes { try writer.write(entry.stored, $0) }
    case .blocks(let matrix):
      try encoded(matrix.dequantized(), entry, order)
        .withBytes { try writer.write(entry.stored, $0) }
    case .dense(let tensor):
      try checkFinite(entry.name)
      try encoded(tensor, entry, order).withBytes { try writer.write(entry.stored, $0) }
    }
  }

  private func checkFinite(_ name: String) throws { try opened.store.checkFinite(name) }

  private func bytes(
    of weight: QuantizedTensor, _ entry: Entry, _ order: RowOrder
  ) throws -> Tensor {
    let module = String(entry.name.dropLast(".weight".count))
    guard let type = kept[module] else { return try encoded(weight.dequantized(), entry, order) }
    return try GGUFCodes(weight, as: type, order).matrix.bytes
  }

  private func encoded(_ tensor: Tensor, _ entry: Entry, _ order: RowOrder) throws -> Tensor {
    let rows = Self.ordered(tensor, order)
    try checkRange(rows, entry)
    switch entry.type {
    case .plain(let type):
      guard let element = type.elementType else {
        preconditionFailure("\(entry.name) as \(type.rawValue)")
      }
      return rows.converted(to: element)
    case .blocks(let type): return try BlockMatrix(encoding: rows, as: type).bytes
    }
  }

  /// Half precision, which most types have for numbers or scales, ends at 65504.
  private func checkRange(_ tensor: Tensor, _ entry: Entry) throws {
    if case .plain(let type) = entry.type, type != .float16 { return }
    let range = tensor.float().withElements { Kernels.extrema($0) }
    let largest = max(-range.minimum, range.maximum)
    guard largest <= 65504 else {
      throw PipelineError(
        .badInput,
        "\(entry.name) has numbers up to \(largest), too large for \(entry.type.name), whose numbers "
          + "or scales are of half precision; use --type bf16 or f32", at: opened.path)
    }
  }

  private func rowOrder(_ entry: Entry) -> RowOrder {
    let isRotated =
      entry.name.contains("self_attn.q_proj.") || entry.name.contains("self_attn.k_proj.")
    return metadata.interleavesHeads && isRotated
      ? .interleavedHeads(width: metadata.configuration.headWidth) : .stored
  }

  /// The rows of a tensor, or the elements of a vector, as the file stores them.
  private static func ordered(_ tensor: Tensor, _ order: RowOrder) -> Tensor {
    guard order != .stored, let rows = tensor.shape.first else { return tensor }
    return Tensor(shape: tensor.shape, elementType: tensor.elementType) { out in
      tensor.withBytes { bytes in
        guard let source = bytes.baseAddress, let target = out.baseAddress else { return }
        let size = bytes.count / rows
        for stored in 0..<rows {
          (target + stored * size).copyMemory(
            from: source + order.row(storedAt: stored) * size, byteCount: size)
        }
      }
    }
  }

  /// - Throws: ``PipelineError`` if `path` cannot become the file.
  static func check(_ path: String, overwriting: Bool, model: String) throws {
    guard path.hasSuffix(".gguf") else {
      throw PipelineError(.usage, "name a file that ends in .gguf", at: path)
    }
    let parent = (URL(fileURLWithPath: path).standardizedFileURL.path as NSString)
      .deletingLastPathComponent
    guard SystemFile.isDirectory(parent) else {
      throw PipelineError(
        .cannotCreate, "there is no directory \(parent); create it first", at: path)
    }
    guard SystemFile.exists(path) else { return }
    guard overwriting, !SystemFile.isDirectory(path) else {
      throw PipelineError(
        .cannotCreate,
        "exists already; choose another --output, or replace a file with --overwrite",
        at: path)
    }
    let same = [path, model].map { URL(fileURLWithPath: $0).resolvingSymlinksInPath().path }
    guard same[0] != same[1] else {
      throw PipelineError(
        .usage, "the output would replace the model itself; choose another --output", at: path)
    }
  }
}

extension OpenedModel {
  /// The tokenizer as a GGUF file describes one.
  func ggufVocabulary() throws -> GGUFVocabulary {
    if let checkpoint = store as? GGUFCheckpoint { return try checkpoint.vocabulary() }
    if SystemFile.isDirectory(path) { return try GGUFVocabulary(directory: path) }
    return try GGUFVocabulary(
      llama2cTokenizer: try llama2CTokenizer(), vocabularySize: model.vocabularySize)
  }
}
