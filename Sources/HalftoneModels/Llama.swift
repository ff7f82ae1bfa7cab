public import HalftoneLayers
public import HalftoneTensor

/// One block of the Llama family: h = x + attention(norm(x)), y = h + feedForward(norm(h)).
public struct LlamaBlock: TransformerBlock {
  public var attentionNorm: RMSNorm
  public var attention: Attention
  public var feedForwardNorm: RMSNorm
  public var feedForward: GatedFeedForward

  public init(
    attentionNorm: RMSNorm, attention: Attention, feedForwardNorm: RMSNorm,
    feedForward: GatedFeedForward
  ) {
    self.attentionNorm = attentionNorm
    self.attention = attention
    self.feedForwardNorm = feedForwardNorm
    self.feedForward = feedForward
  }

  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    let h = x + attention(attentionNorm(x), context)
    return h + feedForward(feedForwardNorm(h), context)
  }

  public mutating func forEachLinear(_ body: (inout Linear) throws -> Void) rethrows {
    try body(&attention.queries)
    try body(&attention.keys)
    try body(&attention.values)
    try body(&attention.output)
    try body(&feedForward.gate)
    try body(&feedForward.up)
    try body(&feedForward.down)
  }
}

/// The final norm and the projection to the vocabulary.
public struct LlamaHead: OutputHead {
  public var norm: RMSNorm
  /// [vocabulary, hidden], as floats.
  public var weight: Tensor

  public func callAsFunction(_ hidden: Tensor) -> Tensor { norm(hidden).linear(weight) }
}

/// A model of the Llama family over a source of weights.
public struct LlamaModel: LanguageModel {
  public let configuration: LlamaConfiguration
  private let weights: CheckedWeights
  private let embedding: Embedding
  private let rotary: RotaryEmbedding

  /// - Throws: ``ModelError`` if shapes in `weights` contradict the configuration; what `weights`
  ///   throws.
  public init(_ configuration: LlamaConfiguration, weights: any WeightSource) throws {
    self.configuration = configuration
    self.weights = CheckedWeights(source: weights)
    rotary = RotaryEmbedding(
      headWidth: configuration.headWidth, theta: configuration.theta,
      scaling: configuration.scaling)
    embedding = Embedding(weight: try self.weights.weight(configuration.embeddingShape))
    try checkShapes()
  }

  /// Finds a wrong configuration now rather than at the last block.
  private func checkShapes() throws(ModelError) {
    for shape in linearShapes {
      try weights.check("\(shape.name).weight", [shape.rows, shape.columns])
    }
  }

  public var blockCount: Int { configuration.blockCount }
  public var hiddenSize: Int { configuration.hiddenSize }
  public var vocabularySize: Int { configuration.vocabularySize }
  public var contextLength: Int { configuration.contextLength }
  public var endOfTextIds: [Int] { configuration.endOfTextIds }
  public var embeddingShape: LinearShape { configuration.embeddingShape }
  public var headShape: LinearShape? { configuration.headShape }

  public func linearShapes(ofBlock index: Int) -> [LinearShape] {
    configuration.linearShapes(ofBlock: index)
  }

  public func block(_ index: Int) throws -> any TransformerBlock {
    precondition((0..<blockCount).contains(index), "block \(index) of \(blockCount)")
    let prefix = "model.layers.\(index)"
    return LlamaBlock(
      attentionNorm: try norm("\(prefix).input_layernorm", hiddenSize),
      attention: try attention(index, prefix),
      feedForwardNorm: try norm("\(prefix).post_attention_layernorm", hiddenSize),
      feedForward: try feedForward(index))
  }

  private func norm(_ name: String, _ width: Int) throws -> RMSNorm {
    RMSNorm(
      weight: try weights.vector("\(name).weight", width), epsilon: configuration.epsilon)
  }

  private func attention(_ index: Int, _ prefix: String) throws -> Attention {
    let (c, shapes) = (configuration, linearShapes(ofBlock: index))
    func headNorm(_ name: String) throws -> RMSNorm? {
      c.headNorms ? try norm("\(prefix).self_attn.\(name)", c.headWidth) : nil
    }
    return Attention(
      index: index, heads: c.heads, keyHeads: c.keyHeads, window: c.windows[index],
      queries: try weights.linear(shapes[0], bias: c.inputBias),
      keys: try weights.linear(shapes[1], bias: c.inputBias),
      values: try weights.linear(shapes[2], bias: c.inputBias),
      output: try weights.linear(shapes[3], bias: c.outputBias),
      queryNorm: try headNorm("q_norm"), keyNorm: try headNorm("k_norm"))
  }

  private func feedForward(_ index: Int) throws -> GatedFeedForward {
    let (bias, shapes) = (configuration.feedForwardBias, linearShapes(ofBlock: index))
    return GatedFeedForward(
      gate: try weights.linear(shapes[4], bias: bias),
      up: try weights.linear(shapes[5], bias: bias),
      down: try weights.linear(shapes[6], bias: bias))
  }

  public func embed(_ ids: [Int]) throws -> Tensor {
    if let id = ids.first(where: { !(0..<vocabularySize).contains($0) }) {
      throw ModelError(
        "token id \(id) is outside the model's vocabulary of \(vocabularySize); tokenizer and "
          + "model do not belong together")
    }
    return embedding(ids)
  }

  public func head() throws -> any OutputHead {
    let weight = try headShape.map { try weights.weight($0).dense() } ?? embedding.table.float()
    return LlamaHead(norm: try norm("model.norm", hiddenSize), weight: weight)
  }

  public func context(batch: Int, length: Int, start: Int) -> ForwardContext {
    let (cosine, sine) = rotary.angles(start..<start + length)
    return ForwardContext(batch: batch, length: length, cosine: cosine, sine: sine)
  }
}

// MARK: - Names and shapes

extension LlamaConfiguration {
  var embeddingShape: LinearShape {
    LinearShape(name: "model.embed_tokens", rows: vocabularySize, columns: hiddenSize)
  }

  var headShape: LinearShape? {
    tiedEmbeddings
      ? nil : LinearShape(name: "lm_head", rows: vocabularySize, columns: hiddenSize)
  }

  /// In the order in which they run: q, k, v, o, gate, up, down.
  func linearShapes(ofBlock index: Int) -> [LinearShape] {
    let (queryWidth, keyWidth) = (heads * headWidth, keyHeads * headWidth)
    return [
      ("self_attn.q_proj", queryWidth, hiddenSize),
      ("self_attn.k_proj", keyWidth, hiddenSize),
      ("self_attn.v_proj", keyWidth, hiddenSize),
      ("self_attn.o_proj", hiddenSize, queryWidth),
      ("mlp.gate_proj", intermediateSize, hiddenSize),
      ("mlp.up_proj", intermediateSize, hiddenSize),
      ("mlp.down_proj", hiddenSize, intermediateSize),
    ].map { name, rows, columns in
      LinearShape(name: "model.layers.\(index).\(name)", rows: rows, columns: columns)
    }
  }
}
