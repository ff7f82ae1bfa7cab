import HalftoneCheckpoints
import HalftoneLayers
import HalftoneModels
import HalftoneSchemes

/// Which type every tensor of a model gets in a GGUF file, and what is said about it.
struct GGUFTensorPlan {
  private let opened: OpenedModel
  private let configuration: LlamaConfiguration
  private let mix: GGUFMix
  private var announced: [String: LayerScheme] = [:]
  private var said = Notices()
  /// Layers whose codes are kept, by module.
  private(set) var kept: [String: BlockType] = [:]

  init(_ opened: OpenedModel, _ configuration: LlamaConfiguration, _ mix: GGUFMix) {
    self.opened = opened
    self.configuration = configuration
    self.mix = mix
  }

  /// A sentence for each tensor that its rows force, one for all tensors of a kind otherwise.
  var notices: [String] { said.sentences }

  private mutating func say(_ name: String, _ text: String, together: Bool = true) {
    said.say(name, text, together: together)
  }

  /// The weight of `module` will come in this scheme.
  mutating func announce(_ module: String, _ scheme: LayerScheme) { announced[module] = scheme }

  /// All tensors: the embedding, the blocks in their order, the end.
  mutating func entries() throws -> [GGUFExport.Entry] {
    var result: [GGUFExport.Entry] = []
    for module in modules {
      try result.append(entry(module.name, [module.rows, module.columns], module.block))
    }
    let matrices = Set(modules.map(\.name))
    for name in opened.store.names {
      let isMatrix =
        name.hasSuffix(".weight") && matrices.contains(String(name.dropLast(".weight".count)))
      guard !isMatrix, let stored = GGUFExport.storedName(name) else { continue }
      let description = try opened.store.description(of: name)
      guard description.shape.count == 1 else { continue }
      result.append(
        GGUFExport.Entry(
          name: name, stored: stored, shape: description.shape, type: .plain(.float32)))
    }
    return result
  }

  private struct Module {
    let name: String
    let rows: Int
    let columns: Int
    let block: Int?
  }

  private var modules: [Module] {
    let model = opened.model
    func module(_ shape: LinearShape, _ block: Int?) -> Module {
      Module(name: shape.name, rows: shape.rows, columns: shape.columns, block: block)
    }
    var result = [module(model.embeddingShape, nil)]
    for block in 0..<model.blockCount {
      result += model.linearShapes(ofBlock: block).map { module($0, block) }
    }
    if let head = model.headShape { result.append(module(head, nil)) }
    return result
  }

  private mutating func entry(
    _ name: String, _ shape: [Int], _ block: Int?
  ) throws -> GGUFExport.Entry {
    guard let stored = GGUFExport.storedName(name + ".weight") else {
      throw PipelineError(.badInput, "\(name) has no name in GGUF files", at: opened.path)
    }
    let type = try keptType(name, shape) ?? mixType(name, shape, block)
    return GGUFExport.Entry(name: name + ".weight", stored: stored, shape: shape, type: type)
  }

  private mutating func mixType(_ name: String, _ shape: [Int], _ block: Int?) -> GGUFTensorType {
    let wanted = mix.type(
      GGUFMix.Place(
        module: name, block: block, blockCount: configuration.blockCount,
        headRatio: configuration.heads / configuration.keyHeads,
        isOutput: name == "lm_head"
          || configuration.tiedEmbeddings && name == "model.embed_tokens"))
    let type = GGUFMix.fitting(wanted, columns: shape[1])
    if type != wanted {
      say(
        name,
        "rows of \(shape[1]) are no whole number of blocks of \(wanted.blockLength), "
          + "so it is stored as \(type.name) instead of \(wanted.name)", together: false)
    }
    return type
  }

  // MARK: - Layers with codes

  /// The type that holds the codes of a layer that is quantized, or will be.
  private mutating func keptType(_ name: String, _ shape: [Int]) throws -> GGUFTensorType? {
    guard let scheme = try announced[name] ?? storedScheme(name) else { return nil }
    if let inputs = scheme.inputs {
      say(name, "inputs are \(inputs), which no GGUF file says; this is left out")
    }
    guard let weights = scheme.weights else { return nil }
    let type = GGUFCodes.type(for: weights, columns: shape[1])
    if announced[name] == nil, let reason = try obstacle(name, weights) {
      say(name, "\(reason), so the numbers are stored as F16")
      return .plain(.float16)
    }
    return note(name, type, weights)
  }

  private func storedScheme(_ name: String) throws -> LayerScheme? {
    guard let checkpoint = opened.store as? Checkpoint,
      try checkpoint.quantizedShape(name) != nil
    else { return nil }
    return try checkpoint.storedScheme(name)
  }

  /// Why codes of the checkpoint, or their zero points, are none that ``GGUFCodes`` takes.
  private func obstacle(_ name: String, _ scheme: WeightScheme) throws -> String? {
    guard let checkpoint = opened.store as? Checkpoint else { return nil }
    if try checkpoint.hasReorderedGroups(name) { return "groups are in activation order" }
    // Types without minima need whole zero points.
    if case .mlx = try checkpoint.quantization(), [6, 7].contains(scheme.format.bits) {
      return "offsets need not be multiples of the scales"
    }
    return nil
  }

  private mutating func note(
    _ name: String, _ type: BlockType?, _ scheme: WeightScheme
  ) -> GGUFTensorType {
    guard let type else {
      say(name, "no GGUF type holds \(scheme.grid), so the numbers are stored as F16")
      return .plain(.float16)
    }
    kept[name] = type
    let bits = type == .q80 ? 8 : type == .q50 || type == .q51 ? 5 : 4
    if bits > scheme.format.bits {
      say(
        name,
        "no GGUF type has \(scheme.format.bits) bits on such a grid, so the codes are stored in "
          + type.name)
    }
    return .blocks(type)
  }
}

extension GGUFExport {
  /// What a tensor is called in a GGUF file.
  static func storedName(_ name: String) -> String? { GGUFCheckpoint.storedName(name) }
}
