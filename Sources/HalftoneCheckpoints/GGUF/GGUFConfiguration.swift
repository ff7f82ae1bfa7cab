import HalftoneTensor

/// The `config.json` that the metadata of a GGUF file stands for.
struct GGUFConfiguration {
  /// The architectures that are read: those whose tensors ``GGUFNames`` knows.
  static let architectures = ["llama", "qwen2", "qwen3"]

  let architecture: String
  let headWidth: Int
  let config: JSONValue

  /// `contains` tells whether a tensor of a GGUF name is there, in any part of the model.
  init(
    _ file: GGUFFile, contains: (String) -> Bool, vocabularySize: Int?,
    divisors: Tensor?
  ) throws(CheckpointError) {
    architecture = try Self.architecture(file)
    let reader = Keys(file: file, prefix: architecture)
    let (hidden, heads) = (
      try reader.size("embedding_length"), try reader.size("attention.head_count")
    )
    headWidth = try Self.headWidth(reader, hidden: hidden, heads: heads)
    if let experts = try reader.integer("expert_count"), experts > 0 {
      throw reader.problem("expert_count", "is \(experts), but mixtures of experts are not read")
    }
    guard let vocabularySize else {
      throw CheckpointError(.malformed, "\(file.path): no tensor token_embd.weight")
    }
    var config = try Self.sizes(
      reader, hidden: hidden, heads: heads, headWidth: headWidth, contains: contains)
    config["vocab_size"] = .number(JSONNumber(vocabularySize))
    config["rope_parameters"] = try Self.rotary(reader, headWidth, divisors)
    config["eos_token_id"] = .array(Self.endOfText(file).map { .number(JSONNumber($0)) })
    if let first = file["tokenizer.ggml.bos_token_id"]?.int {
      config["bos_token_id"] = .number(JSONNumber(first))
    }
    self.config = config
  }

  private static func sizes(
    _ reader: Keys, hidden: Int, heads: Int, headWidth: Int, contains: (String) -> Bool
  ) throws(CheckpointError) -> JSONValue {
    let keyHeads = try reader.integer("attention.head_count_kv") ?? heads
    return [
      "model_type": .string(reader.prefix), "hidden_act": "silu",
      "hidden_size": .number(JSONNumber(hidden)),
      "intermediate_size": .number(JSONNumber(try reader.size("feed_forward_length"))),
      "num_hidden_layers": .number(JSONNumber(try reader.size("block_count"))),
      "num_attention_heads": .number(JSONNumber(heads)),
      "num_key_value_heads": .number(JSONNumber(keyHeads)),
      "head_dim": .number(JSONNumber(headWidth)),
      "max_position_embeddings": .number(JSONNumber(try reader.size("context_length"))),
      "rms_norm_eps": .number(
        JSONNumber(try reader.number("attention.layer_norm_rms_epsilon", required: true) ?? 0)),
      "tie_word_embeddings": .bool(!contains("output.weight")),
      "attention_bias": .bool(contains("blk.0.attn_q.bias")),
      "mlp_bias": .bool(contains("blk.0.ffn_up.bias")),
    ]
  }

  private static func architecture(_ file: GGUFFile) throws(CheckpointError) -> String {
    guard let name = file["general.architecture"]?.string else {
      throw CheckpointError(
        .malformed, "\(file.path): metadata has no general.architecture; it is no model")
    }
    guard architectures.contains(name) else {
      throw CheckpointError(
        .malformed,
        "\(file.path): architecture \"\(name)\" is not supported; supported are "
          + architectures.joined(separator: ", "))
    }
    return name
  }

  private static func headWidth(
    _ reader: Keys, hidden: Int, heads: Int
  ) throws(CheckpointError) -> Int {
    let width = try reader.integer("attention.key_length") ?? hidden / heads
    if let value = try reader.integer("attention.value_length"), value != width {
      throw reader.problem(
        "attention.value_length", "is \(value), but keys have \(width); the two must be equal")
    }
    if let rotary = try reader.integer("rope.dimension_count"), rotary != width {
      throw reader.problem(
        "rope.dimension_count",
        "is \(rotary) of a head's \(width); rotation of a part of a head is not supported")
    }
    return width
  }

  /// Files name the base of the angles, a scaling, or have a tensor of divisors.
  private static func rotary(
    _ reader: Keys, _ headWidth: Int, _ divisors: Tensor?
  ) throws(CheckpointError) -> JSONValue {
    let theta = try reader.number("rope.freq_base") ?? 10_000
    var result: JSONValue = ["rope_theta": .number(JSONNumber(theta)), "rope_type": "default"]
    let type = reader.file["\(reader.prefix).rope.scaling.type"]?.string ?? "none"
    let isLinear = type == "linear"
    let oldFactor = try reader.number("rope.scale_linear")
    let factor = try reader.number("rope.scaling.factor", required: isLinear) ?? oldFactor ?? 1
    if let divisors {
      guard divisors.count == headWidth / 2 else {
        throw CheckpointError(
          .malformed,
          "\(reader.file.path): tensor \(GGUFNames.rotaryDivisors) has \(divisors.count) elements "
            + "for heads of \(headWidth), which have \(headWidth / 2) angles")
      }
      let scale = isLinear ? factor : 1
      result["rope_type"] = "divisors"
      result["divisors"] = .array(
        divisors.float().values.map { .number(JSONNumber(Double($0) * scale)) })
    } else if type != "none" || factor != 1 {
      result["rope_type"] = .string(type == "none" ? "linear" : type)
      result["factor"] = .number(JSONNumber(factor))
    }
    return result
  }

  /// The ids named as ends, and the tokens that end a turn by their well-known spellings.
  private static func endOfText(_ file: GGUFFile) -> [Int] {
    let keys = ["eos", "eot", "eom"].map { "tokenizer.ggml.\($0)_token_id" }
    let named = keys.compactMap { file[$0]?.int }.filter { $0 >= 0 }
    let spellings = [
      "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>",
      "<|end_of_text|>",
    ]
    let found = file["tokenizer.ggml.tokens"]?.array?.indices(of: spellings) ?? []
    var seen: Set<Int> = []
    return (named + found).filter { seen.insert($0).inserted }
  }
}

/// Reads numbers under "ARCHITECTURE." and says which is wrong.
private struct Keys {
  let file: GGUFFile
  let prefix: String

  func problem(_ key: String, _ what: String) -> CheckpointError {
    CheckpointError(.malformed, "\(file.path): metadata \"\(prefix).\(key)\" \(what)")
  }

  /// A whole number; of a list the one that all its elements are.
  func integer(_ key: String) throws(CheckpointError) -> Int? {
    guard let value = file["\(prefix).\(key)"] else { return nil }
    if let list = value.array?.integers {
      guard let first = list.first, list.allSatisfy({ $0 == first }) else {
        throw problem(key, "differs from block to block, which is not supported")
      }
      return first
    }
    guard let whole = value.int else { throw problem(key, "is no whole number") }
    return whole
  }

  func size(_ key: String) throws(CheckpointError) -> Int {
    guard let size = try integer(key) else { throw problem(key, "is missing") }
    guard (1...1 << 40).contains(size) else { throw problem(key, "is \(size)") }
    return size
  }

  func number(_ key: String, required: Bool = false) throws(CheckpointError) -> Double? {
    guard let value = file["\(prefix).\(key)"] else {
      if required { throw problem(key, "is missing") }
      return nil
    }
    guard let number = value.double, number.isFinite else { throw problem(key, "is no number") }
    // Files hold floats; their shortest spelling is what was meant: 1e-05, not 9.99999974e-06.
    return Double("\(Float(number))") ?? number
  }
}
