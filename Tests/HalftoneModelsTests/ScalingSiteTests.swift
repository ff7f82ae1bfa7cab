import HalftoneLayers
import HalftoneModels
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Channels divided where they are made and multiplied where they are read.
@Suite struct ScalingSiteTests {
  /// With grouped key heads, with biases of every layer, with norms of queries and keys, and the
  /// bundled models.
  static let models = [
    "\(LlamaTests.golden)/llama-llama3-rope-biases", "\(LlamaTests.golden)/mistral-head-dim",
    "\(LlamaTests.golden)/qwen2-tied", "\(LlamaTests.golden)/qwen3-sharded",
    Repository.path("Resources/models/stories260k"),
  ]

  @Test(arguments: models)
  func `random factors leave the block's function as it is`(_ folder: String) throws {
    let model = try LlamaTests.model(folder)
    let block = try model.block(1)
    var generator = SeededGenerator(seed: 8)
    let context = model.context(batch: 2, length: 6, start: 0)
    let x = Tensor.normal(shape: [12, model.hiddenSize], using: &generator)
    let y = block(x, context)
    let sites = block.scalingSites
    #expect(sites.flatMap(\.consumers) == block.linears.map(\.name))
    for site in sites {
      var scaled = block
      // From a quarter to four.
      let factors = (0..<site.channels).map { _ in Kernels.exp(2.77 * generator.uniform() - 1.386) }
      scaled.rescale(site, by: factors)
      #expect(LlamaTests.distance(scaled(x, context).values, y.values) < 1e-5)
      let changed = zip(block.linears, scaled.linears).filter {
        $0.weight.dense().values != $1.weight.dense().values
      }
      #expect(Set(changed.map(\.0.name)) == Set(site.linears))
    }
  }
}
