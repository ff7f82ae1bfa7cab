/// Where the tensors of a llama2.c file lie: seven 32-bit integers, then floats in a fixed order.
struct Llama2CLayout {
  struct Place: Sendable {
    let offset: Int
    let shape: [Int]
    /// The rows of a head, where they are in interleaved rotary order.
    var interleavedHead: Int?
  }

  private(set) var places: [String: Place] = [:]
  let config: JSONValue

  private let path: String
  private let byteCount: Int
  private var end = 28

  init(_ bytes: UnsafeRawBufferPointer, path: String) throws(CheckpointError) {
    self.path = path
    byteCount = bytes.count
    guard bytes.count >= 28 else {
      throw CheckpointError(.malformed, "\(path): too short for a llama2.c file")
    }
    let fields = (0..<7).map {
      Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self)))
    }
    guard fields[0] != 0x616B_3432 else {
      throw CheckpointError(
        .malformed, "\(path): llama2.c version \(fields[1]) is not read; export it as version 0")
    }
    let sizes = Sizes(fields)
    guard sizes.areConsistent else {
      throw CheckpointError(
        .malformed, "\(path): not a llama2.c file: sizes \(fields) do not make a model")
    }
    config = sizes.config
    try placeAll(sizes)
    guard end == bytes.count else {
      throw CheckpointError(
        .malformed, "\(path): \(bytes.count) bytes, but sizes \(fields) need \(end)")
    }
  }

  private mutating func placeAll(_ sizes: Sizes) throws(CheckpointError) {
    let (d, f, q, kv) = (sizes.dim, sizes.hidden, sizes.dim, sizes.headSize * sizes.keyValueHeads)
    let head = sizes.headSize
    let layers = (0..<sizes.layers).map { "model.layers.\($0)." }
    func each(_ suffix: String) -> [String] { layers.map { $0 + suffix } }
    try place(["model.embed_tokens.weight"], [sizes.vocabulary, d])
    try place(each("input_layernorm.weight"), [d])
    try place(each("self_attn.q_proj.weight"), [q, d], head: head)
    try place(each("self_attn.k_proj.weight"), [kv, d], head: head)
    try place(each("self_attn.v_proj.weight"), [kv, d])
    try place(each("self_attn.o_proj.weight"), [d, q])
    try place(each("post_attention_layernorm.weight"), [d])
    try place(each("mlp.gate_proj.weight"), [f, d])
    try place(each("mlp.down_proj.weight"), [d, f])
    try place(each("mlp.up_proj.weight"), [f, d])
    try place(["model.norm.weight"], [d])
    try skip([2, sizes.context, head / 2])  // cosines and sines, which are computed anew
    if !sizes.isTied { try place(["lm_head.weight"], [sizes.vocabulary, d]) }
  }

  private mutating func place(
    _ names: [String], _ shape: [Int], head: Int? = nil
  ) throws(CheckpointError) {
    for name in names {
      places[name] = Place(offset: end, shape: shape, interleavedHead: head)
      try skip(shape)
    }
  }

  private mutating func skip(_ shape: [Int]) throws(CheckpointError) {
    guard let count = StoredType.float32.byteCount(of: shape), count <= byteCount - end else {
      throw CheckpointError(
        .malformed,
        "\(path): a tensor \(shape) at byte \(end) leaves the file of \(byteCount) bytes; "
          + "it is cut short or no llama2.c file")
    }
    end += count
  }
}

/// The seven numbers of the header.
private struct Sizes {
  let dim, hidden, layers, heads, keyValueHeads, vocabulary, context: Int
  /// A negative vocabulary announces a classifier of its own.
  let isTied: Bool

  init(_ fields: [Int]) {
    (dim, hidden, layers, heads) = (fields[0], fields[1], fields[2], fields[3])
    (keyValueHeads, vocabulary, context) = (fields[4], abs(fields[5]), fields[6])
    isTied = fields[5] > 0
  }

  var headSize: Int { dim / heads }

  var areConsistent: Bool {
    [dim, hidden, layers, heads, keyValueHeads, vocabulary, context].allSatisfy { $0 > 0 }
      && layers <= 100_000 && dim % heads == 0 && heads % keyValueHeads == 0
      && headSize % 2 == 0
  }

  /// What Hugging Face's `config.json` says of such a model.
  var config: JSONValue {
    func number(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
    return [
      "architectures": ["LlamaForCausalLM"],
      "attention_bias": false,
      "bos_token_id": 1,
      "dtype": "float32",
      "eos_token_id": 2,
      "head_dim": number(headSize),
      "hidden_act": "silu",
      "hidden_size": number(dim),
      "intermediate_size": number(hidden),
      "max_position_embeddings": number(context),
      "mlp_bias": false,
      "model_type": "llama",
      "num_attention_heads": number(heads),
      "num_hidden_layers": number(layers),
      "num_key_value_heads": number(keyValueHeads),
      "rms_norm_eps": 1e-05,
      "rope_parameters": ["rope_theta": 10000.0, "rope_type": "default"],
      "rope_theta": 10000.0,
      "tie_word_embeddings": .bool(isTied),
      "vocab_size": number(vocabulary),
    ]
  }
}
