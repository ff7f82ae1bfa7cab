/// What the tensors of a Llama-like network are called in GGUF files and by Hugging Face.
enum GGUFNames {
  private static let outer = [
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
  ]
  private static let inner = [
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
  ]
  private static let outerBack = Dictionary(uniqueKeysWithValues: outer.map { ($1, $0) })
  private static let innerBack = Dictionary(uniqueKeysWithValues: inner.map { ($1, $0) })

  /// The divisors of the rotary frequencies, which are no weights.
  static let rotaryDivisors = "rope_freqs.weight"

  /// "model.layers.0.mlp.up_proj.weight" for "blk.0.ffn_up.weight"; nil if it has no such name.
  static func huggingFace(_ name: String) -> String? {
    guard let (stem, suffix) = cut(name) else { return nil }
    if let outer = outer[stem] { return outer + suffix }
    let parts = stem.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "blk", let index = Int(parts[1]), index >= 0,
      String(index) == parts[1], let inner = inner[String(parts[2])]
    else { return nil }
    return "model.layers.\(index).\(inner)\(suffix)"
  }

  /// The inverse of ``huggingFace(_:)``.
  static func gguf(_ name: String) -> String? {
    guard let (stem, suffix) = cut(name) else { return nil }
    if let outer = outerBack[stem] { return outer + suffix }
    let parts = stem.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "model", parts[1] == "layers", let index = Int(parts[2]),
      index >= 0, let inner = innerBack[String(parts[3])]
    else { return nil }
    return "blk.\(index).\(inner)\(suffix)"
  }

  /// The name before ".weight" or ".bias", and that.
  private static func cut(_ name: String) -> (stem: String, suffix: String)? {
    for suffix in [".weight", ".bias"] where name.hasSuffix(suffix) {
      return (String(name.dropLast(suffix.count)), suffix)
    }
    return nil
  }
}
