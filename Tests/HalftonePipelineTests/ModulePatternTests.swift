import HalftonePipeline
import Testing

@Suite struct ModulePatternTests {
  @Test(arguments: [
    ("layers.*.mlp.down_proj", "model.layers.0.mlp.down_proj", true),
    ("layers.*.mlp.down_proj", "model.layers.12.mlp.down_proj", true),
    ("layers.*.mlp.down_proj", "model.layers.0.mlp.up_proj", false),
    ("model.layers.0.*", "model.layers.0.self_attn.q_proj", true),
    ("model.layers.0.*", "model.layers.10.self_attn.q_proj", false),
    ("lm_head", "lm_head", true), ("embed_tokens", "model.embed_tokens", true),
    ("embed_tokens", "embed_tokens_2", false),
    ("*.q_proj", "model.layers.3.self_attn.q_proj", true),
    ("layers.?.mlp.*", "model.layers.3.mlp.up_proj", true),
    ("layers.?.mlp.*", "model.layers.13.mlp.up_proj", false),
    ("*", "anything", true), ("", "", true), ("", "x", false), ("**x*", "aaxbb", true),
    ("a*b*c", "abbc", true), ("a*b*c", "abbcd", false),
  ])
  func matching(_ pattern: String, _ name: String, _ expected: Bool) {
    #expect(ModulePattern(pattern).matches(name) == expected)
  }

  @Test func manyStarsDoNotTakeExponentialTime() {
    let pattern = ModulePattern(String(repeating: "a*", count: 40) + "b")
    #expect(!pattern.matches(String(repeating: "a", count: 5000)))
  }
}
