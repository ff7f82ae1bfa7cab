import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftoneMethods
import HalftoneModels
import HalftonePipeline
import HalftoneReport
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Doubles the gains before attention and halves the weights that follow: the same network, and the
/// same codes, since both are powers of two.
private struct Doubling: ModelTransform {
  static let name = "doubling"
  static let summary = "Doubles gains and halves weights."
  static let citation = "None."
  /// Whether the layers that follow the gains are halved.
  var isExact = true
  /// Whether the gains are among the parameters.
  var isHonest = true

  func transform(_ problem: BlockProblem) throws -> TransformedBlock {
    guard var block = problem.block as? LlamaBlock else { throw MethodError("not a Llama block") }
    let gains = block.attentionNorm.weight * 2
    block.attentionNorm = RMSNorm(weight: gains, epsilon: block.attentionNorm.epsilon)
    block.forEachLinear { linear in
      let isFed = ["q_proj", "k_proj", "v_proj"].contains { linear.name.hasSuffix($0) }
      if isFed, isExact { linear.weight = .dense(linear.weight.dense() * 0.5) }
    }
    let name = "model.layers.\(problem.index).input_layernorm.weight"
    return TransformedBlock(
      block: block, parameters: isHonest ? [name: gains] : [:], warnings: ["doubled"])
  }
}

@Suite struct TransformRunTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private func options(_ ignore: String = "", _ output: String) throws -> QuantizationOptions {
    let yaml = "scheme: { weights: { bits: 4 }\(ignore) }\nsteps: [ rtn ]"
    var options = QuantizationOptions(
      model: Fixture.model, recipe: try Recipe(yaml: yaml, source: "r.yaml"),
      output: "\(scratch.path)/\(output)")
    options.calibration = [Fixture.text]
    (options.samples, options.length) = (4, 64)
    return options
  }

  @Test func aTransformedModelIsWrittenWhole() throws {
    let plain = try QuantizationRun(options("", "plain"))()
    var options = try options("", "out")
    options.recipe.steps.insert(Recipe.Step(part: Doubling()), at: 0)
    let record = try QuantizationRun(options)()
    let (a, b) = (
      try OpenedModel(path: scratch.path + "/plain"), try OpenedModel(path: scratch.path + "/out")
    )
    let name = "model.layers.3.input_layernorm.weight"
    #expect(
      try b.store.tensor(name).float().values == a.store.tensor(name).float().values.map { 2 * $0 })
    for (x, y) in zip(try a.model.block(3).linears, try b.model.block(3).linears) {
      let factor: Float =
        ["q_proj", "k_proj", "v_proj"].contains { x.name.hasSuffix($0) } ? 0.5 : 1
      #expect(y.weight.dense().values == x.weight.dense().values.map { factor * $0 })
    }
    for (x, y) in zip(plain.layers, record.layers) {
      #expect(y.method == "doubling + rtn")
      #expect(abs(x.errorAfter - y.errorAfter) <= 1e-6 * x.errorAfter)
      #expect(abs(x.errorRTN - y.errorRTN) <= 1e-5 * x.errorRTN)
      #expect(y.warnings.contains("doubled") == y.name.hasSuffix("q_proj"))
    }
    #expect(record.bytesAfter == plain.bytesAfter)
  }

  @Test func gainsReachAGGUFFile() throws {
    var options = try options("", "x.gguf")
    options.format = .gguf
    options.recipe.steps.insert(Recipe.Step(part: Doubling()), at: 0)
    _ = try QuantizationRun(options)()
    let name = "model.layers.3.input_layernorm.weight"
    let original = try OpenedModel(path: Fixture.model).store.tensor(name).float().values
    let written = try OpenedModel(path: options.output).store.tensor(name).float().values
    #expect(written == original.map { 2 * $0 })
  }

  @Test func whatATransformTurnsIntoAnotherNetworkIsSeen() throws {
    var options = try options("", "out")
    var doubling = Doubling()
    doubling.isExact = false
    options.recipe.steps.insert(Recipe.Step(part: doubling), at: 0)
    let record = try QuantizationRun(options)()
    // Twice the input through the same weights: ‖2WX − WX‖² = ‖WX‖².
    for layer in record.layers where layer.name.hasSuffix("q_proj") {
      #expect(layer.errorAfter > 0.9 && layer.errorAfter < 1.1)
    }
  }

  @Test func aChangedLayerThatIsNotQuantizedIsRefused() throws {
    var options = try options(", ignore: [ \"*.q_proj\" ]", "out")
    options.recipe.steps.insert(Recipe.Step(part: Doubling()), at: 0)
    let error = #expect(throws: MethodError.self) { try QuantizationRun(options)() }
    #expect(error?.description.contains("without saying so") == true)
  }
}
