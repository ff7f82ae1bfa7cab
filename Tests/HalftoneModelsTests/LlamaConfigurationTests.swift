import Foundation
import HalftoneLayers
import HalftoneModels
import HalftoneTensor
import HalftoneTestSupport
import Testing

@Suite struct LlamaConfigurationTests {
  /// A small config.json with some keys replaced, or left out where nil.
  static func json(_ changes: [String: String?] = [:]) -> Data {
    var values: [String: String] = [
      "model_type": "\"llama\"", "vocab_size": "64", "hidden_size": "32",
      "intermediate_size": "48", "num_hidden_layers": "4", "num_attention_heads": "4",
    ]
    for (key, value) in changes { values[key] = value }
    let members = values.map { "\"\($0.key)\": \($0.value)" }
    return Data("{\(members.joined(separator: ", "))}".utf8)
  }

  static func read(_ changes: [String: String?] = [:]) throws -> LlamaConfiguration {
    try LlamaConfiguration(json(changes))
  }

  static func message(_ data: Data) -> String {
    do {
      _ = try LlamaConfiguration(data)
      return ""
    } catch { return error.description }
  }

  @Test func `missing keys have the defaults of transformers`() throws {
    let llama = try Self.read()
    #expect(llama.keyHeads == 4 && llama.headWidth == 8)
    #expect(llama.epsilon == 1e-6 && llama.theta == 10_000 && llama.scaling == .none)
    #expect(llama.contextLength == 2048)
    #expect(!llama.tiedEmbeddings && !llama.inputBias && !llama.headNorms)
    #expect(llama.windows == [nil, nil, nil, nil] && llama.endOfTextIds == [])
    #expect(try Self.read(["model_type": "\"mistral\""]).windows == [4096, 4096, 4096, 4096])
    let qwen2 = try Self.read(["model_type": "\"qwen2\""])
    #expect(qwen2.inputBias && !qwen2.outputBias && !qwen2.headNorms)
    let qwen3 = try Self.read(["model_type": "\"qwen3\""])
    #expect(qwen3.headWidth == 128 && qwen3.headNorms && !qwen3.inputBias)
  }

  @Test func `old and new rotary keys mean the same`() throws {
    let old = try Self.read([
      "rope_theta": "5e5", "max_position_embeddings": "8192",
      "rope_scaling": """
      {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
      """,
    ])
    let new = try Self.read([
      "max_position_embeddings": "131072",
      "rope_parameters": """
      {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
       "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
      """,
    ])
    #expect(old.theta == 500_000)
    #expect(old.scaling == .llama3(factor: 8, low: 1, high: 4, original: 8192))
    #expect(new.theta == old.theta && new.scaling == old.scaling)
  }

  @Test func `qwen layers slide as the configuration says`() throws {
    let base: [String: String?] = [
      "model_type": "\"qwen2\"", "use_sliding_window": "true", "sliding_window": "16",
    ]
    func windows(_ changes: [String: String?]) throws -> [Int?] {
      try Self.read(base.merging(changes) { $1 }).windows
    }
    #expect(try windows(["max_window_layers": "3"]) == [nil, nil, nil, 16])
    #expect(try windows([:]) == [nil, nil, nil, nil])
    let types = #"["full_attention", "sliding_attention", "full_attention", "sliding_attention"]"#
    #expect(try windows(["layer_types": types]) == [nil, 16, nil, 16])
    #expect(try windows(["use_sliding_window": "false"]) == [nil, nil, nil, nil])
    #expect(try windows(["sliding_window": "null"]) == [nil, nil, nil, nil])
  }

  @Test func `ends of text are one id or a list, and bare NaN is no obstacle`() throws {
    #expect(try Self.read(["eos_token_id": "2"]).endOfTextIds == [2])
    #expect(try Self.read(["eos_token_id": "[2, 7]"]).endOfTextIds == [2, 7])
    #expect(try Self.read(["eos_token_id": "null"]).endOfTextIds == [])
    #expect(try Self.read(["unused": "NaN", "other": "[-Infinity, {}]"]).hiddenSize == 32)
  }

  @Test(
    arguments: [
      ("model_type", "\"mamba\"", "llama, mistral, qwen2, qwen3"),
      ("model_type", nil, "model_type is missing"),
      ("hidden_size", nil, "hidden_size is missing"),
      ("hidden_size", "0", "hidden_size is 0"),
      ("hidden_size", "-32", "hidden_size is -32"),
      ("hidden_size", "1e30", "whole number"),
      ("hidden_size", "2.5", "hidden_size is 2.5"),
      ("hidden_size", "\"32\"", "hidden_size is \"32\""),
      ("num_hidden_layers", "4000000000", "num_hidden_layers is 4000000000"),
      ("num_key_value_heads", "3", "not a multiple of num_key_value_heads 3"),
      ("head_dim", "7", "head_dim 7"),
      ("num_attention_heads", "64", "head_dim 0"),
      ("rms_norm_eps", "NaN", "rms_norm_eps is nan"),
      ("hidden_act", "\"gelu\"", "hidden_act \"gelu\""),
      ("rope_scaling", #"{"type": "yarn", "factor": 4}"#, "rope_type \"yarn\""),
      ("rope_scaling", #"{"type": "linear"}"#, "factor of the rope scaling is missing"),
      ("rope_scaling", #"{"type": "linear", "factor": 0}"#, "rope_scaling.factor is 0"),
      ("rope_scaling", "3", "rope_scaling is 3, but must be an object"),
      ("rope_parameters", #"{"partial_rotary_factor": 0.5}"#, "partial_rotary_factor 0.5"),
      ("eos_token_id", "[-1]", "eos_token_id"),
      ("tie_word_embeddings", "1", "tie_word_embeddings is 1"),
    ] as [(String, String?, String)])
  func `what makes no sense is named`(_ key: String, _ value: String?, _ part: String) {
    let message = Self.message(Self.json([key: value]))
    #expect(message.contains(part), "\(message)")
  }

  @Test(arguments: ["", "[]", "{", "{\"a\": }", "\u{0}"])
  func `what is no JSON object is refused`(_ text: String) {
    #expect(Self.message(Data(text.utf8)).contains("not a JSON object"))
  }

  @Test func `deep nesting is refused, not followed`() {
    let deep = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
    #expect(Self.message(Self.json(["deep": deep])).contains("not a JSON object"))
  }
}

/// A config.json against the tensors it stands beside.
@Suite struct LlamaTensorTests {
  /// What is said of a golden model with tensors replaced, or left out where nil.
  static func message(
    _ folder: String, tensors: [String: Tensor?] = [:], layers: Int = 2
  ) throws -> String {
    let path = Repository.path("Tests/HalftoneModelsTests/Golden/\(folder)")
    let text = try String(contentsOfFile: "\(path)/config.json", encoding: .utf8)
      .replacingOccurrences(
        of: "\"num_hidden_layers\": 2", with: "\"num_hidden_layers\": \(layers)")
    let weights = StoredWeights(try StoredWeights(path), replacing: tensors)
    do {
      _ = try ModelCatalog.model(configuration: Data(text.utf8), weights: weights)
      return ""
    } catch let error as ModelError { return error.description }
  }

  @Test(arguments: [
    ("llama-llama3-rope-biases", "lm_head.weight", "tie_word_embeddings false"),
    ("llama-llama3-rope-biases", "model.norm.weight", "model_type"),
    ("llama-llama3-rope-biases", "model.embed_tokens.weight", "model_type"),
    ("llama-llama3-rope-biases", "model.layers.1.input_layernorm.weight", "num_hidden_layers 2"),
    ("llama-llama3-rope-biases", "model.layers.1.self_attn.q_proj.bias", "attention_bias true"),
    ("llama-llama3-rope-biases", "model.layers.0.self_attn.o_proj.bias", "attention_bias true"),
    ("llama-llama3-rope-biases", "model.layers.0.mlp.down_proj.bias", "mlp_bias true"),
    ("qwen2-tied", "model.layers.0.self_attn.k_proj.bias", "model_type \"qwen2\""),
    ("qwen3-sharded", "model.layers.0.self_attn.k_norm.weight", "model_type \"qwen3\""),
  ])
  func `a missing tensor is named with the key that asks for it`(
    _ folder: String, _ name: String, _ key: String
  ) throws {
    let missing: Tensor? = nil
    let message = try Self.message(folder, tensors: [name: missing])
    #expect(message.contains("config.json: \(key)"), "\(message)")
    #expect(message.contains("asks for \(name) of shape"), "\(message)")
  }

  @Test(arguments: [
    ("llama-llama3-rope-biases", "lm_head.weight", [63, 32]),
    ("llama-llama3-rope-biases", "model.norm.weight", [31]),
    ("llama-llama3-rope-biases", "model.layers.1.post_attention_layernorm.weight", [33]),
    ("llama-llama3-rope-biases", "model.layers.1.mlp.up_proj.bias", [47]),
    ("qwen3-sharded", "model.layers.1.self_attn.q_norm.weight", [1]),
  ])
  func `a wrong shape is found when the model is made`(
    _ folder: String, _ name: String, _ shape: [Int]
  ) throws {
    let message = try Self.message(folder, tensors: [name: Tensor(repeating: 0, shape: shape)])
    #expect(message.contains("\(name) has shape \(shape)"), "\(message)")
  }

  @Test func `too many and too few layers are refused`() throws {
    let folder = "llama-llama3-rope-biases"
    let more = try Self.message(folder, layers: 3)
    #expect(more.contains("num_hidden_layers 3 asks for model.layers.2."), "\(more)")
    let fewer = try Self.message(folder, layers: 1)
    #expect(fewer.contains("num_hidden_layers is 1, but the checkpoint has model.layers.1."))
  }

  @Test func `tensors that nothing asks for are no obstacle`() throws {
    let extra = Tensor(repeating: 0, shape: [3])
    let names = ["model.rotary_emb.inv_freq", "model.layers.0.self_attn.rotary_emb.inv_freq"]
    for name in names {
      #expect(try Self.message("qwen2-tied", tensors: [name: extra]) == "")
    }
  }
}
