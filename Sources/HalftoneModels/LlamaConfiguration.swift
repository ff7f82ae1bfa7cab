public import Foundation
public import HalftoneLayers

/// The numbers that make one network of the Llama family: Llama, Mistral, Qwen2 or Qwen3.
public struct LlamaConfiguration: Sendable, Equatable {
  /// The families, by `model_type`.
  public enum Family: String, Sendable, CaseIterable {
    case llama, mistral, qwen2, qwen3
  }

  public let family: Family
  public let vocabularySize: Int
  public let hiddenSize: Int
  public let intermediateSize: Int
  public let blockCount: Int
  public let heads: Int
  public let keyHeads: Int
  public let headWidth: Int
  public let epsilon: Float
  public let contextLength: Int
  /// Whether the head is the embedding table.
  public let tiedEmbeddings: Bool
  /// Biases of the projections to queries, keys and values; of the one after attention; of the
  /// feed-forward layers.
  public let inputBias: Bool
  public let outputBias: Bool
  public let feedForwardBias: Bool
  /// Whether linear layers may have biases that no key of the family speaks of, as Halftone writes
  /// them.
  public let mayHaveOtherBiases: Bool
  /// Norms of each head's queries and keys.
  public let headNorms: Bool
  public let theta: Double
  public let scaling: RotaryScaling
  /// For each block how many positions back a query sees, itself included; nil for all.
  public let windows: [Int?]
  public let endOfTextIds: [Int]

  /// Reads a config.json, with the defaults that transformers gives to missing keys.
  ///
  /// - Throws: ``ModelError`` naming the key.
  public init(_ data: Data) throws(ModelError) { try self.init(ConfigurationReader(data)) }

  init(_ json: ConfigurationReader) throws(ModelError) {
    family = try Self.family(json)
    vocabularySize = try Self.required(json, "vocab_size")
    hiddenSize = try Self.required(json, "hidden_size")
    intermediateSize = try Self.required(json, "intermediate_size")
    blockCount = try Self.required(json, "num_hidden_layers", upTo: 1 << 14)
    heads = try Self.required(json, "num_attention_heads", upTo: 1 << 14)
    keyHeads = try json.size("num_key_value_heads", upTo: 1 << 14) ?? heads
    let standard = family == .qwen3 && !json.has("head_dim") ? 128 : hiddenSize / heads
    headWidth = try json.size("head_dim", upTo: 1 << 14) ?? standard
    epsilon = Float(try json.positive("rms_norm_eps") ?? 1e-6)
    let length = try json.size("max_position_embeddings", upTo: 1 << 40)
    contextLength = length ?? Self.standardLength(family)
    tiedEmbeddings = try json.flag("tie_word_embeddings") ?? false
    let bias = try json.flag("attention_bias") ?? false
    let mayHaveBias = family == .llama || family == .qwen3
    inputBias = family == .qwen2 || mayHaveBias && bias
    outputBias = mayHaveBias && bias
    let lateBias = try json.flag("mlp_bias") ?? false
    feedForwardBias = family == .llama && lateBias
    let quantization = try json.object("quantization_config")
    mayHaveOtherBiases = try quantization?.string("quant_method") == "halftone"
    headNorms = family == .qwen3
    (theta, scaling) = try Self.rotary(json, contextLength)
    if case .divisors(let all) = scaling, all.count != headWidth / 2 {
      throw ModelError("config.json: \(all.count) divisors for \(headWidth / 2) rotary angles")
    }
    windows = try Self.windows(json, family, blockCount)
    endOfTextIds = try json.ids("eos_token_id")
    try check(activation: try json.string("hidden_act") ?? "silu")
  }

  private static func family(_ json: ConfigurationReader) throws(ModelError) -> Family {
    let name = try json.string("model_type")
    guard let family = name.flatMap(Family.init) else { throw ModelCatalog.unknown(name) }
    return family
  }

  private static func required(
    _ json: ConfigurationReader, _ key: String, upTo largest: Int = 1 << 24
  ) throws(ModelError) -> Int {
    guard let size = try json.size(key, upTo: largest) else {
      throw ModelError("config.json: \(key) is missing; restore the model's own config.json")
    }
    return size
  }

  private static func standardLength(_ family: Family) -> Int {
    switch family {
    case .llama: 2048
    case .mistral: 131_072
    case .qwen2, .qwen3: 32_768
    }
  }

  private func check(activation: String) throws(ModelError) {
    guard activation == "silu" || activation == "swish" else {
      throw ModelError("config.json: hidden_act \"\(activation)\" is not supported; only silu is")
    }
    guard heads % keyHeads == 0 else {
      throw ModelError(
        "config.json: num_attention_heads \(heads) is not a multiple of num_key_value_heads "
          + "\(keyHeads)")
    }
    guard headWidth > 0, headWidth % 2 == 0 else {
      throw ModelError(
        "config.json: head_dim \(headWidth) (hidden_size / num_attention_heads if not given) must "
          + "be even and positive")
    }
  }
}

// MARK: - Rotary positions

extension LlamaConfiguration {
  /// θ and the scaling, from `rope_parameters` or from the older `rope_theta` and `rope_scaling`.
  private static func rotary(
    _ json: ConfigurationReader, _ contextLength: Int
  ) throws(ModelError) -> (Double, RotaryScaling) {
    let new = try json.object("rope_parameters")
    let old = try json.object("rope_scaling")
    let thetas = [
      try new?.positive("rope_theta"), try json.positive("rope_theta"),
      try old?.positive("rope_theta"),
    ]
    let theta = thetas.compactMap { $0 }.first ?? 10_000
    guard let rope = new ?? old else { return (theta, .none) }
    if let part = try rope.positive("partial_rotary_factor"), part != 1 {
      throw ModelError("config.json: partial_rotary_factor \(part) is not supported; only 1 is")
    }
    return (theta, try scaling(rope, contextLength))
  }

  private static func scaling(
    _ rope: ConfigurationReader, _ contextLength: Int
  ) throws(ModelError) -> RotaryScaling {
    func need(_ key: String) throws(ModelError) -> Double {
      guard let value = try rope.positive(key) else {
        throw ModelError("config.json: \(key) of the rope scaling is missing")
      }
      return value
    }
    let oldType = try rope.string("type")
    switch try rope.string("rope_type") ?? oldType ?? "default" {
    case "default": return .none
    case "linear": return .linear(factor: try need("factor"))
    case "divisors": return .divisors(try rope.positives("divisors"))
    case "llama3":
      let (low, high) = (try need("low_freq_factor"), try need("high_freq_factor"))
      guard low < high else {
        throw ModelError(
          "config.json: low_freq_factor \(low) must be below high_freq_factor \(high)")
      }
      let original = try rope.positive("original_max_position_embeddings")
      return .llama3(
        factor: try need("factor"), low: low, high: high,
        original: original ?? Double(contextLength))
    case let other:
      throw ModelError(
        "config.json: rope_type \"\(other)\" is not supported; default, linear and llama3 are")
    }
  }
}

// MARK: - Windows

extension LlamaConfiguration {
  private static func windows(
    _ json: ConfigurationReader, _ family: Family, _ blockCount: Int
  ) throws(ModelError) -> [Int?] {
    let standard = json.has("sliding_window") ? nil : 4096
    let all = [Int?](repeating: nil, count: blockCount)
    switch family {
    case .llama: return all
    case .mistral:
      let window = try json.size("sliding_window", upTo: 1 << 40) ?? standard
      return all.map { _ in window }
    case .qwen2, .qwen3:
      guard try json.flag("use_sliding_window") ?? false,
        let window = try json.size("sliding_window", upTo: 1 << 40) ?? standard
      else { return all }
      return try slides(json, blockCount).map { $0 ? window : nil }
    }
  }

  /// Which blocks of a Qwen model see a window only.
  private static func slides(
    _ json: ConfigurationReader, _ blockCount: Int
  ) throws(ModelError) -> [Bool] {
    guard let types = try json.strings("layer_types") else {
      let full = try json.ids("max_window_layers").first ?? 28
      return (0..<blockCount).map { $0 >= full }
    }
    guard types.count == blockCount else {
      throw ModelError(
        "config.json: layer_types lists \(types.count) layers of \(blockCount)")
    }
    if let unknown = types.first(where: { !["full_attention", "sliding_attention"].contains($0) }) {
      throw ModelError(
        "config.json: layer_types has \"\(unknown)\"; full_attention and sliding_attention are "
          + "supported")
    }
    return types.map { $0 == "sliding_attention" }
  }
}
