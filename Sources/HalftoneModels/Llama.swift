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

  public mutating func forEachAttention(
    _ body: (inout Attention) throws -> Void
  ) rethrows {
    try body(&attention)
  }

  public mutating func forEachNorm(
    _ body: (_ name: String, _ norm: inout RMSNorm) throws -> Void
  ) rethrows {
    try body(normNames.attention, &attentionNorm)
    try body(normNames.feedForward, &feedForwardNorm)
  }

  private var normNames: (attention: String, feedForward: String) {
    let prefix = "model.layers.\(attention.index)"
    return ("\(prefix).input_layernorm", "\(prefix).post_attention_layernorm")
  }

  /// The inputs of q, k, v; of o; of gate and up; of down.
  public var scalingSites: [ScalingSite] {
    let (hidden, inner) = (attentionNorm.weight.count, feedForward.down.weight.shape[1])
    let headWidth = attention.output.weight.shape[1] / attention.heads
    let shared = attention.heads / attention.keyHeads
    return [
      ScalingSite(
        producer: .norm(normNames.attention),
        consumers: [attention.queries.name, attention.keys.name, attention.values.name],
        sources: Array(0..<hidden)),
      // Query heads that share a key head read the same values.
      ScalingSite(
        producer: .linear(attention.values.name), consumers: [attention.output.name],
        sources: (0..<attention.heads * headWidth).map { channel in
          channel / headWidth / shared * headWidth + channel % headWidth
        }),
      ScalingSite(
        producer: .norm(normNames.feedForward),
        consumers: [feedForward.gate.name, feedForward.up.name], sources: Array(0..<hidden)),
      ScalingSite(
        producer: .linear(feedForward.up.name), consumers: [feedForward.down.name],
        sources: Array(0..<inner)),
    ]
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

  /// - Throws: ``ModelError`` if names or shapes in `weights` contradict the configuration; what
  ///   `weights` throws.
  public init(_ configuration: LlamaConfiguration, weights: any WeightSource) throws {
    self.configuration = configuration
    self.weights = CheckedWeights(source: weights)
    // Finds a wrong configuration now rather than at the last block.
    try self.weights.check(configuration)
    rotary = RotaryEmbedding(
      headWidth: configuration.headWidth, theta: configuration.theta,
      scaling: configuration.scaling)
    embedding = Embedding(weight: try self.weights.weight(configuration.embeddingShape))
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
    var block = try storedBlock(index)
    block.forEachLinear { linear in
      if case .dense(let tensor) = linear.weight { linear.weight = .dense(tensor.float()) }
    }
    return block
  }

  public func storedBlock(_ index: Int) throws -> any TransformerBlock {
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

  /// Biases that no key asks for are read where Halftone wrote them.
  private func bias(_ required: Bool) -> CheckedWeights.Bias {
    required ? .required : configuration.mayHaveOtherBiases ? .optional : .none
  }

  private func attention(_ index: Int, _ prefix: String) throws -> Attention {
    let (c, shapes) = (configuration, linearShapes(ofBlock: index))
    func headNorm(_ name: String) throws -> RMSNorm? {
      c.headNorms ? try norm("\(prefix).self_attn.\(name)", c.headWidth) : nil
    }
    return Attention(
      index: index, heads: c.heads, keyHeads: c.keyHeads, window: c.windows[index],
      queries: try weights.linear(shapes[0], bias: bias(c.inputBias)),
      keys: try weights.linear(shapes[1], bias: bias(c.inputBias)),
      values: try weights.linear(shapes[2], bias: bias(c.inputBias)),
      output: try weights.linear(shapes[3], bias: bias(c.outputBias)),
      queryNorm: try headNorm("q_norm"), keyNorm: try headNorm("k_norm"),
      cacheGrids: try weights.cacheGrids("\(prefix).self_attn", keyHeads: c.keyHeads))
  }

  private func feedForward(_ index: Int) throws -> GatedFeedForward {
    let (bias, shapes) = (bias(configuration.feedForwardBias), linearShapes(ofBlock: index))
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
    let weight = try headShape.map { try weights.weight($0).dense() } ?? embedding.weight.dense()
    return LlamaHead(norm: try norm("model.norm", hiddenSize), weight: weight)
  }

  public func storedHead() throws -> StoredHead {
    StoredHead(
      norm: try norm("model.norm", hiddenSize),
      weight: try headShape.map { try weights.weight($0) } ?? embedding.weight)
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

// MARK: - What a checkpoint must hold

/// A tensor that a configuration asks for.
struct ExpectedTensor {
  let name: String
  let shape: [Int]
  /// The key of config.json that asks for it, with its value.
  let reason: String
}

extension LlamaConfiguration {
  /// The tensors outside of the blocks.
  var outerTensors: [ExpectedTensor] {
    let model = "model_type \"\(family.rawValue)\""
    var result = [
      ExpectedTensor(
        name: "\(embeddingShape.name).weight", shape: [vocabularySize, hiddenSize], reason: model),
      ExpectedTensor(name: "model.norm.weight", shape: [hiddenSize], reason: model),
    ]
    if let head = headShape {
      result.append(
        ExpectedTensor(
          name: "\(head.name).weight", shape: [head.rows, head.columns],
          reason: "tie_word_embeddings false"))
    }
    return result
  }

  /// The tensors of block `index`: weights first, then biases and norms.
  func tensors(ofBlock index: Int) -> [ExpectedTensor] {
    let (prefix, layers) = ("model.layers.\(index)", "num_hidden_layers \(blockCount)")
    let linears = linearShapes(ofBlock: index)
    var result = linears.map {
      ExpectedTensor(name: "\($0.name).weight", shape: [$0.rows, $0.columns], reason: layers)
    }
    for (position, linear) in linears.enumerated() {
      guard let reason = biasReason(position) else { continue }
      result.append(
        ExpectedTensor(name: "\(linear.name).bias", shape: [linear.rows], reason: reason))
    }
    for name in ["input_layernorm", "post_attention_layernorm"] {
      result.append(
        ExpectedTensor(name: "\(prefix).\(name).weight", shape: [hiddenSize], reason: layers))
    }
    for name in headNorms ? ["q_norm", "k_norm"] : [] {
      result.append(
        ExpectedTensor(
          name: "\(prefix).self_attn.\(name).weight", shape: [headWidth],
          reason: "model_type \"\(family.rawValue)\""))
    }
    return result
  }

  /// The key that gives the linear layer at `position` of ``linearShapes(ofBlock:)`` a bias.
  func biasReason(_ position: Int) -> String? {
    switch position {
    case 0...2 where inputBias:
      family == .qwen2 ? "model_type \"qwen2\"" : "attention_bias true"
    case 3 where outputBias: "attention_bias true"
    case 4... where feedForwardBias: "mlp_bias true"
    default: nil
    }
  }
}
