import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftoneModels
import HalftoneTensor
import HalftoneTokenizers

/// What a GGUF file says of a network and its tokenizer.
struct GGUFModelMetadata {
  let configuration: LlamaConfiguration
  /// The rotary divisors that the file holds as a tensor; nil where angles need none.
  let divisors: [Float]?
  /// What the file cannot say.
  private(set) var notices: [String] = []
  private(set) var metadata = GGUFMetadata()

  var architecture: String {
    configuration.family == .mistral ? "llama" : configuration.family.rawValue
  }

  /// Whether rows of queries and keys are stored in interleaved rotary order.
  var interleavesHeads: Bool { architecture == "llama" }

  init(_ configuration: LlamaConfiguration, name: String) {
    self.configuration = configuration
    divisors = Self.divisors(configuration)
    metadata.set("general.architecture", to: architecture)
    metadata.set("general.type", to: "model")
    metadata.set("general.name", to: name)
    addNetwork()
    addRotary()
    if configuration.windows.contains(where: { $0 != nil && $0 ?? 0 < configuration.contextLength })
    {
      notices.append(
        "the network's attention window is not written, for \(architecture) files have none: "
          + "longer texts than the window will give other results")
    }
  }

  private mutating func addNetwork() {
    let c = configuration
    func key(_ name: String) -> String { "\(architecture).\(name)" }
    metadata.set(key("context_length"), to: c.contextLength)
    metadata.set(key("embedding_length"), to: c.hiddenSize)
    metadata.set(key("block_count"), to: c.blockCount)
    metadata.set(key("feed_forward_length"), to: c.intermediateSize)
    metadata.set(key("attention.head_count"), to: c.heads)
    metadata.set(key("attention.head_count_kv"), to: c.keyHeads)
    metadata.set(key("attention.key_length"), to: c.headWidth)
    metadata.set(key("attention.value_length"), to: c.headWidth)
    metadata.set(key("attention.layer_norm_rms_epsilon"), to: c.epsilon)
    metadata.set(key("rope.dimension_count"), to: c.headWidth)
    metadata.set(key("rope.freq_base"), to: Float(c.theta))
    metadata.set(key("vocab_size"), to: c.vocabularySize)
  }

  private mutating func addRotary() {
    guard case .linear(let factor) = configuration.scaling else { return }
    metadata.set("\(architecture).rope.scaling.type", to: "linear")
    metadata.set("\(architecture).rope.scaling.factor", to: Float(factor))
  }

  /// Plain angles by scaled ones, which is what the formula of Llama 3.1 leaves to be stored.
  private static func divisors(_ c: LlamaConfiguration) -> [Float]? {
    switch c.scaling {
    case .none, .linear: return nil
    case .divisors(let all): return all.map { Float($0) }
    case .llama3(let factor, let low, let high, let original):
      return (0..<c.headWidth / 2).map { i in
        let wavelength = 2 * Double.pi * pow(c.theta, 2 * Double(i) / Double(c.headWidth))
        let share = min(max((original / wavelength - low) / (high - low), 0), 1)
        return Float(1 / ((1 - share) / factor + share))
      }
    }
  }

  mutating func add(_ mix: GGUFMix) {
    metadata.set("general.file_type", to: mix.fileType)
    if case .blocks = mix.base { metadata.set("general.quantization_version", to: 2) }
  }

  mutating func set(_ key: String, to value: String) { metadata.set(key, to: value) }

  /// - Throws: ``PipelineError`` for more tokens than the embedding has rows.
  mutating func add(_ vocabulary: GGUFVocabulary, template: String?, at path: String) throws {
    let padding = configuration.vocabularySize - vocabulary.tokens.count
    guard padding >= 0 else {
      throw PipelineError(
        .badInput,
        "the tokenizer has \(vocabulary.tokens.count) tokens for an embedding of "
          + "\(configuration.vocabularySize) rows, which no GGUF file can hold", at: path)
    }
    func key(_ name: String) -> String { "tokenizer.ggml.\(name)" }
    metadata.set(key("model"), to: vocabulary.model)
    if let pre = vocabulary.pre { metadata.set(key("pre"), to: pre) }
    metadata.set(
      key("tokens"), to: vocabulary.tokens + (0..<padding).map { Array("[PAD\($0)]".utf8) })
    if let scores = vocabulary.scores {
      metadata.set(key("scores"), to: scores + [Float](repeating: -1e6, count: padding))
    }
    let types = vocabulary.types ?? vocabulary.tokens.map { _ in 1 }
    metadata.set(key("token_type"), to: types + [Int](repeating: 5, count: padding))
    if let merges = vocabulary.merges { metadata.set(key("merges"), to: merges) }
    let ids = [
      ("bos", vocabulary.beginningOfText), ("eos", vocabulary.endOfText),
      ("unknown", vocabulary.unknown),
    ]
    for (name, id) in ids {
      guard let id else { continue }
      guard (0..<configuration.vocabularySize).contains(id) else {
        throw PipelineError(
          .badInput,
          "the \(name) token's id is \(id), but there are \(configuration.vocabularySize) tokens",
          at: path)
      }
      metadata.set(key("\(name)_token_id"), to: id)
    }
    let flags = [
      ("add_bos_token", vocabulary.addsBeginning), ("add_eos_token", vocabulary.addsEnd),
      ("add_space_prefix", vocabulary.addsSpace),
    ]
    for (name, flag) in flags { if let flag { metadata.set(key(name), to: flag) } }
    if let template { metadata.set("tokenizer.chat_template", to: template) }
  }
}
