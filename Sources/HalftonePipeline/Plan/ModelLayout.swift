public import HalftoneLayers

/// The linear layers of a model's blocks and its sizes, without any weights.
public struct ModelLayout: Sendable, Equatable {
  /// One linear layer of one block.
  public struct Module: Sendable, Equatable {
    /// In the checkpoint: "model.layers.0.self_attn.q_proj".
    public var name: String
    public var block: Int
    /// Outputs.
    public var rows: Int
    /// Inputs.
    public var columns: Int
    /// As stored.
    public var byteCount: Int

    public init(name: String, block: Int, rows: Int, columns: Int, byteCount: Int) {
      self.name = name
      self.block = block
      self.rows = rows
      self.columns = columns
      self.byteCount = byteCount
    }
  }

  /// How the model is called in messages.
  public var source: String
  public var modules: [Module]
  public var blockCount: Int
  public var hiddenSize: Int
  public var vocabularySize: Int
  public var contextLength: Int
  /// All tensors of the checkpoint, as stored.
  public var byteCount: Int

  public init(
    source: String, modules: [Module], blockCount: Int, hiddenSize: Int, vocabularySize: Int,
    contextLength: Int, byteCount: Int
  ) {
    self.source = source
    self.modules = modules
    self.blockCount = blockCount
    self.hiddenSize = hiddenSize
    self.vocabularySize = vocabularySize
    self.contextLength = contextLength
    self.byteCount = byteCount
  }

  /// Lists the layers of `model`; `storedBytes` tells the size of a module's weight as stored.
  public init(
    of model: any LanguageModel, source: String, byteCount: Int,
    storedBytes: (_ module: String) throws -> Int
  ) throws {
    var modules: [Module] = []
    for block in 0..<model.blockCount {
      for linear in model.linearShapes(ofBlock: block) {
        modules.append(
          Module(
            name: linear.name, block: block, rows: linear.rows, columns: linear.columns,
            byteCount: try storedBytes(linear.name)))
      }
    }
    self.init(
      source: source, modules: modules, blockCount: model.blockCount,
      hiddenSize: model.hiddenSize, vocabularySize: model.vocabularySize,
      contextLength: model.contextLength, byteCount: byteCount)
  }
}
