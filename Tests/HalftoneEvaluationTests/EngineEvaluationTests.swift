import Foundation
import HalftoneEvaluation
import HalftoneInference
import HalftoneLayers
import HalftoneModels
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// A model's weights rounded to nearest in groups, its inputs rounded token by token.
struct RoundedWeights: WeightSource {
  let source: any WeightSource
  let weights: WeightScheme
  let inputs: InputQuantizer?

  var names: [String] { source.names }
  func shape(of name: String) -> [Int]? { source.shape(of: name) }
  func tensor(_ name: String) throws -> Tensor { try source.tensor(name) }

  private func isRounded(_ module: String) -> Bool { module.contains(".layers.") }

  func linearWeight(_ module: String) throws -> LinearWeight {
    let weight = try source.linearWeight(module)
    guard isRounded(module) else { return weight }
    let dense = weight.dense()
    return .quantized(
      try weights.grids(for: dense).quantize(dense, format: weights.format))
  }

  func inputQuantizer(_ module: String) throws -> InputQuantizer? {
    isRounded(module) ? inputs : nil
  }
}

@Suite struct EngineEvaluationTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let bits: Int
    let granularity: Granularity
    let inputs: InputQuantizer?
    var testDescription: String { "W\(bits) \(granularity) inputs \(inputs as Any)" }
  }

  static let cases = [
    Case(
      bits: 8, granularity: .channel, inputs: .perToken(format: IntegerFormat.int8, symmetric: true)
    ),
    Case(
      bits: 4, granularity: .group(32),
      inputs: .perToken(format: IntegerFormat.int8, symmetric: true)),
    Case(
      bits: 4, granularity: .channel,
      inputs: .perToken(format: IntegerFormat.int8, symmetric: false)),
    Case(bits: 3, granularity: .group(64), inputs: nil),
  ]

  static func model(_ c: Case) throws -> any LanguageModel {
    let bundled = try Bundled("books-7m")
    let scheme = WeightScheme(
      format: try IntegerFormat(bits: c.bits), granularity: c.granularity, symmetric: true,
      range: .minMax)
    return try bundled.model(
      RoundedWeights(source: bundled.weights, weights: scheme, inputs: c.inputs))
  }

  @Test(arguments: cases)
  func `every layer's outputs are those of the fake-quantized layer`(_ c: Case) throws {
    let model = try Self.model(c)
    let ids = Array(try Bundled("books-7m").encode("books-calibration.txt").prefix(64))
    var context = model.context(batch: 1, length: ids.count, start: 0)
    var hidden = try model.embed(ids)
    for index in 0..<model.blockCount {
      let block = try model.block(index)
      let layers = Dictionary(uniqueKeysWithValues: block.linears.map { ($0.name, $0) })
      var seen = 0
      context.observe = { name, x in
        guard var layer = layers[name] else { return }
        layer.bias = nil
        seen += 1
        let plain = ForwardContext(
          batch: 1, length: x.rows, cosine: context.cosine, sine: context.sine)
        expectClose(
          PackedLinear(layer, inputs: .float)(x), layer(x, plain), tolerance: 1e-5)
      }
      hidden = block(hidden, context)
      #expect(seen == 7)
    }
  }

  @Test(arguments: cases)
  func `the engine's perplexity is that of the fake-quantized model`(_ c: Case) throws {
    let model = try Self.model(c)
    let ids = try Bundled("books-7m").encode("books-test.txt")
    let options = PerplexityOptions(context: 128, windows: 16)
    let definition = try Perplexity.evaluate(model, ids: ids, options: options)
    let engine = try Perplexity.evaluate(
      .engine(Engine(model, options: .init(inputs: .float))), ids: ids, options: options)
    #expect(engine.tokens == definition.tokens)
    #expect(relative(engine.perplexity, definition.perplexity) < 1e-3)
  }
}
