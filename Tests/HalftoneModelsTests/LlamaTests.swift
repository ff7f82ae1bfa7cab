import Foundation
import HalftoneLayers
import HalftoneModels
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Against logits of transformers: see Golden/README.md and Scripts/golden/models.py.
@Suite struct LlamaTests {
  static let golden = Repository.path("Tests/HalftoneModelsTests/Golden")

  static func model(_ folder: String) throws -> any LanguageModel {
    try ModelCatalog.model(
      configuration: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")),
      weights: StoredWeights(folder))
  }

  static func ids(_ file: StoredWeights) throws -> [Int] {
    try file.tensor("ids").float().values.map { Int($0) }
  }

  /// The logits of `batch` sequences side by side.
  static func logits(_ model: any LanguageModel, _ ids: [Int], batch: Int) throws -> Tensor {
    let context = model.context(batch: batch, length: ids.count / batch, start: 0)
    var hidden = try model.embed(ids)
    for index in 0..<model.blockCount { hidden = try model.block(index)(hidden, context) }
    return try model.logits(hidden)
  }

  /// The largest |a − b| by the largest |b|.
  static func distance(_ a: [Float], _ b: [Float]) -> Float {
    #expect(a.count == b.count)
    let largest = b.reduce(0) { max($0, abs($1)) }
    return zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) } / largest
  }

  @Test(arguments: [
    "llama-llama3-rope-biases", "llama-linear-rope-old-keys", "mistral-head-dim",
    "mistral-sliding-window", "qwen2-tied", "qwen3-sharded",
  ])
  func `every family gives the reference logits`(_ name: String) throws {
    let folder = "\(Self.golden)/\(name)"
    let file = try StoredWeights("\(folder)/golden.safetensors")
    let found = try Self.logits(Self.model(folder), Self.ids(file), batch: 2)
    let expected = try file.tensor("logits").float()
    #expect(Self.distance(found.values, expected.values) < 1e-4)
  }

  @Test(arguments: ["stories260k", "books-7m"])
  func `the bundled models give the reference logits`(_ name: String) throws {
    let file = try StoredWeights("\(Self.golden)/\(name).safetensors")
    let ids = try Self.ids(file)
    let model = try Self.model(Repository.path("Resources/models/\(name)"))
    let found = try Self.logits(model, ids, batch: 1).rows(ids.count - 8..<ids.count)
    let expected = try file.tensor("logits").float()
    #expect(Self.distance(found.values, expected.values) < 1e-4)
  }

  @Test func `linear layers are listed with their shapes before weights are read`() throws {
    let model = try Self.model("\(Self.golden)/qwen3-sharded")
    let attention = "model.layers.1.self_attn"
    let feedForward = "model.layers.1.mlp"
    let expected = [
      LinearShape(name: "\(attention).q_proj", rows: 64, columns: 32),
      LinearShape(name: "\(attention).k_proj", rows: 32, columns: 32),
      LinearShape(name: "\(attention).v_proj", rows: 32, columns: 32),
      LinearShape(name: "\(attention).o_proj", rows: 32, columns: 64),
      LinearShape(name: "\(feedForward).gate_proj", rows: 40, columns: 32),
      LinearShape(name: "\(feedForward).up_proj", rows: 40, columns: 32),
      LinearShape(name: "\(feedForward).down_proj", rows: 32, columns: 40),
    ]
    #expect(model.linearShapes(ofBlock: 1) == expected)
    #expect(try model.block(1).linears.map(\.name) == expected.map(\.name))
    #expect(
      try model.block(1).linears.map(\.weight.shape) == expected.map { [$0.rows, $0.columns] })
    #expect(model.linearShapes.last == LinearShape(name: "lm_head", rows: 64, columns: 32))
    #expect(model.linearShapes.count == 15)
  }

  @Test func `a linear layer is observed with its input, in order`() throws {
    let model = try Self.model("\(Self.golden)/qwen2-tied")
    let block = try model.block(0)
    var seen: [String] = []
    var context = model.context(batch: 1, length: 5, start: 0)
    context.observe = { name, input in
      seen.append(name)
      #expect(input.shape == [5, name.hasSuffix("down_proj") ? 48 : 32])
    }
    _ = block(try model.embed([1, 2, 3, 4, 5]), context)
    #expect(seen == block.linears.map(\.name))
  }

  /// For each weight and a random direction v, (f(w + εv) − f(w − εv))/2ε = ⟨∇f, v⟩.
  @Test(arguments: ["mistral-sliding-window", "qwen3-sharded", "qwen2-tied"])
  func `a block passes gradients to all its weights`(_ name: String) throws {
    let model = try Self.model("\(Self.golden)/\(name)")
    let block = try model.block(0)
    let x = try model.embed((0..<24).map { $0 * 5 % 64 })
    let context = model.context(batch: 2, length: 12, start: 0)
    var generator = SeededGenerator(seed: 5)
    let target = Tensor.normal(shape: x.shape, using: &generator)
    func loss(_ changed: Int, _ weight: Tensor) -> Tensor {
      var copy = block
      var index = 0
      copy.forEachLinear {
        if index == changed { $0.weight = .dense(weight) }
        index += 1
      }
      return copy(x, context).squaredError(to: target, dividedBy: Float(x.count))
    }
    for (index, linear) in block.linears.enumerated() {
      let weight = linear.weight.dense()
      let direction = Tensor.normal(shape: weight.shape, using: &generator)
      let leaf = weight.tracked()
      let gradient = loss(index, leaf).gradients(of: [leaf])[0]
      let slope = zip(gradient.values, direction.values).reduce(0) { $0 + Double($1.0 * $1.1) }
      func quotient(_ step: Float) -> Double {
        let difference =
          loss(index, weight + direction * step).scalar
          - loss(index, weight - direction * step).scalar
        return Double(difference / (2 * step))
      }
      // Richardson's step takes away the error in step². The loss, of order 10, is rounded to
      // 5e-6, which leaves 2e-3.
      let found = (4 * quotient(4e-3) - quotient(8e-3)) / 3
      #expect(
        abs(found - slope) < 3e-3, "\(linear.name): \(found), \(slope)")
    }
  }

  @Test(arguments: [
    ("model.norm.weight", [31]), ("model.embed_tokens.weight", [64, 31]),
    ("model.layers.1.mlp.down_proj.weight", [32, 47]),
    ("model.layers.1.self_attn.q_proj.bias", [33]),
    ("model.layers.0.input_layernorm.weight", [32, 1]),
  ])
  func `tensors that contradict the configuration are named`(_ name: String, _ shape: [Int]) throws
  {
    let folder = "\(Self.golden)/llama-llama3-rope-biases"
    let weights = StoredWeights(
      try StoredWeights(folder), replacing: [name: Tensor(repeating: 0, shape: shape)])
    let error = #expect(throws: ModelError.self) {
      let model = try ModelCatalog.model(
        configuration: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")),
        weights: weights)
      for index in 0..<model.blockCount { _ = try model.block(index) }
      _ = try model.head()
    }
    #expect(error?.description.contains("\(name) has shape \(shape)") == true)
  }

  @Test func `ids outside the vocabulary are refused`() throws {
    let model = try Self.model("\(Self.golden)/qwen2-tied")
    #expect(throws: ModelError.self) { try model.embed([3, 64]) }
    #expect(throws: ModelError.self) { try model.embed([-1]) }
  }
}
