public import HalftoneLayers

extension LlamaConfiguration {
  /// The keys of config.json that give linear layers biases, and which layers then have a new one.
  public struct BiasKeys: Sendable, Equatable {
    /// To be true.
    public var keys: [String] = []
    public var layers: [LinearShape] = []
  }

  /// What to set so that the layers `modules` have biases for every reader of the family; nil where
  /// the family has no such key.
  ///
  /// One key speaks for all layers of a kind in all blocks: attention, or feed-forward.
  public func keys(forBiasesOf modules: Set<String>) -> BiasKeys? {
    var result = BiasKeys()
    let kinds: [(key: String, positions: ClosedRange<Int>, families: [Family])] = [
      ("attention_bias", 0...3, [.llama, .qwen3]), ("mlp_bias", 4...6, [.llama]),
    ]
    let blocks = (0..<blockCount).map(linearShapes(ofBlock:))
    for kind in kinds {
      let without = kind.positions.filter { biasReason($0) == nil }
      let layers = blocks.flatMap { block in without.map { block[$0] } }
      guard layers.contains(where: { modules.contains($0.name) }) else { continue }
      guard kind.families.contains(family) else { return nil }
      result.keys.append(kind.key)
      result.layers += layers
    }
    return result
  }
}
