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
}
