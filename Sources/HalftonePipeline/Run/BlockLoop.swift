import Foundation
import HalftoneLayers
import HalftoneMethods
import HalftoneReport
import HalftoneSchemes
import HalftoneTensor

/// Solves one block after another: original and quantized streams in, a result and the next streams
/// out.
struct BlockLoop {
  let model: any LanguageModel
  let source: String
  let plan: Plan
  /// nil where errors are measured on the weights alone.
  let calibration: Calibration?
  let seed: UInt64

  private var runner: BlockRunner { BlockRunner(model: model) }

  /// The streams that enter the first block: the embedded samples, twice.
  func firstStreams() throws -> Streams? {
    guard let calibration else { return nil }
    let stream = ActivationStream(
      activations: try model.embed(calibration.ids), length: calibration.length)
    try checkFinite(stream, "the embeddings of the calibration text")
    return Streams(original: stream, quantized: stream)
  }

  /// Quantizes block `index`; the streams become those that enter the next one, and `carried` what the
  /// method leaves for it.
  func solve(
    _ index: Int, _ streams: inout Streams?, carried: inout CarriedState,
    report: @escaping (BlockProgress) throws -> Void
  ) throws -> BlockResult {
    let clock = ContinuousClock()
    let start = clock.now
    let block = try model.block(index)
    let targets = streams.map { runner.run(block, $0.original) }
    if let targets { try checkFinite(targets, "the outputs of block \(index)") }
    var problem = problem(index, block, streams, targets, report)
    problem.carried = carried.tensors
    guard let method = plan.recipe.steps.first?.method else {
      throw PipelineError(.usage, "names no method", at: plan.recipe.source)
    }
    var solution = problem.schemes.isEmpty ? BlockSolution(layers: [:]) : try method.solve(problem)
    carried.hasChanged = solution.carried != nil
    if let fresh = solution.carried { carried.tensors = fresh }
    let layers = try judge(&solution, problem, streams)
    if let entering = streams, let targets {
      var quantized = block
      quantized.forEachLinear { linear in
        guard let layer = solution.layers[linear.name] else { return }
        linear.weight = .dense(layer.weight.dequantized())
        linear.inputs = layer.inputs
      }
      let outputs = runner.run(quantized, entering.quantized)
      try checkFinite(outputs, "the outputs of the quantized block \(index)")
      streams = Streams(original: targets, quantized: outputs)
    }
    let seconds = (clock.now - start) / .seconds(1)
    return BlockResult(
      layers: layers.map { layer in
        var layer = layer
        layer.record.seconds = seconds / Double(max(1, layers.count))
        return layer
      },
      record: BlockRecord(
        index: index, lossFirst: solution.lossFirst.map(Double.init),
        lossLast: solution.lossLast.map(Double.init), iterations: solution.iterations,
        seconds: seconds, heldOutFirst: solution.heldOutFirst.map(Double.init),
        heldOutLast: solution.heldOutLast.map(Double.init),
        settled: solution.settled.map(Double.init)))
  }

  private func problem(
    _ index: Int, _ block: any TransformerBlock, _ streams: Streams?, _ targets: ActivationStream?,
    _ report: @escaping (BlockProgress) throws -> Void
  ) -> BlockProblem {
    let length = calibration?.length ?? 1
    let nothing = ActivationStream(
      activations: Tensor([], shape: [0, model.hiddenSize]), length: length)
    let (model, contexts) = (model, ContextCache())
    var problem = BlockProblem(
      index: index, block: block, schemes: plan.schemes(ofBlock: index),
      original: streams?.original ?? nothing, quantized: streams?.quantized ?? nothing,
      targets: targets ?? nothing, training: calibration?.training ?? 0..<0,
      heldOut: calibration?.heldOut ?? 0..<0,
      makeContext: { batch in
        contexts.context(ofBatch: batch) { model.context(batch: batch, length: length, start: 0) }
      }, seed: seed,
      report: report)
    problem.network = network
    return problem
  }

  private var network: Network? {
    guard let calibration else { return nil }
    let (model, plan) = (model, plan)
    return Network(
      model: model, ids: calibration.ids, schemes: { plan.schemes(ofBlock: $0) },
      prepared: { index, _ in try model.block(index) })
  }

  // MARK: - Judging

  /// Measures every layer of the solution, and replaces it where the recipe says so.
  private func judge(
    _ solution: inout BlockSolution, _ problem: BlockProblem, _ streams: Streams?
  ) throws -> [BlockResult.Layer] {
    var measured = LayerErrors.Result()
    var candidates: [String: LayerErrors.Candidates] = [:]
    var rounded: [String: QuantizedTensor] = [:]
    for linear in problem.block.linears {
      guard let scheme = problem.schemes[linear.name]?.weights else { continue }
      guard let layer = solution.layers[linear.name] else {
        throw MethodError("the method gave no solution for \(linear.name)")
      }
      let weight = linear.weight.dense()
      let (plain, nearest) = try roundings(of: weight, scheme, layer)
      rounded[linear.name] = nearest
      let tensors = [plain, nearest, layer.weight]
      if streams == nil {
        measured.errors[linear.name] = LayerErrors.onWeights(weight, tensors)
      } else {
        candidates[linear.name] = LayerErrors.Candidates(
          weight: weight, rounded: tensors.map { $0.dequantized() })
      }
    }
    if let streams, let calibration {
      measured = LayerErrors.measure(candidates) { body in
        runner.observe(problem.block, streams.quantized, calibration.heldOut, body)
      }
    }
    return try problem.block.linears.compactMap { linear in
      guard let nearest = rounded[linear.name] else { return nil }
      return try verdict(linear.name, &solution, nearest, measured, problem)
    }
  }

  /// The weight rounded to nearest on the plain min-max grid and on the scheme's own.
  private func roundings(
    of weight: Tensor, _ scheme: WeightScheme, _ layer: LayerSolution
  ) throws -> (plain: QuantizedTensor, nearest: QuantizedTensor) {
    let isRounding = plan.recipe.steps.first?.method is RoundToNearest
    let nearest =
      isRounding ? layer.weight : try RoundToNearest.quantize(weight, scheme)
    guard scheme.range != .minMax else { return (nearest, nearest) }
    var plain = scheme
    plain.range = .minMax
    return (try RoundToNearest.quantize(weight, plain), nearest)
  }

  private func verdict(
    _ name: String, _ solution: inout BlockSolution, _ nearest: QuantizedTensor,
    _ measured: LayerErrors.Result, _ problem: BlockProblem
  ) throws -> BlockResult.Layer? {
    guard let layer = solution.layers[name], let scheme = problem.schemes[name],
      let errors = measured.errors[name], let method = plan.recipe.steps.first?.name
    else { return nil }
    guard errors.allSatisfy(\.isFinite) else {
      throw MethodError("the error of \(name) is not a number; lower the learning rate")
    }
    var record = LayerRecord(
      name: name, scheme: Plan.describe(scheme), method: method, errorBefore: errors[0],
      errorAfter: errors[2], errorRTN: errors[1], seconds: 0, warnings: layer.warnings)
    if let zeros = measured.zeroChannels[name], zeros > 0 {
      record.warnings.append("\(zeros) input channels are zero in all held-out rows")
    }
    if errors[2] > errors[1] {
      let ratio = ByteSize.fixed(errors[2] / errors[1], 2)
      record.warnings.append("\(LayerRecord.worseThanRounding) is \(ratio)")
      if plan.recipe.whenWorse == .roundToNearest {
        record.warnings.append("rounded to nearest instead, as the recipe says")
        record.method = "rtn"
        record.errorAfter = errors[1]
        solution.layers[name]?.weight = nearest
      }
    }
    guard let kept = solution.layers[name] else { return nil }
    return BlockResult.Layer(weight: kept.weight, inputs: kept.inputs, record: record)
  }

  // MARK: - Numbers that are none

  private func checkFinite(_ stream: ActivationStream, _ what: String) throws {
    guard !stream.activations.isFinite else { return }
    throw PipelineError(
      .badInput, "\(what) hold NaN or infinity; the model cannot be run in 32-bit floats",
      at: source)
  }
}

extension LayerRecord {
  /// How the warning about a layer that a method made worse begins.
  static let worseThanRounding = "error relative to rounding to nearest"
}

/// Contexts by batch: a method asks for the same one at every iteration.
private final class ContextCache {
  private var contexts: [Int: ForwardContext] = [:]

  func context(ofBatch batch: Int, _ make: () -> ForwardContext) -> ForwardContext {
    if let context = contexts[batch] { return context }
    let context = make()
    contexts[batch] = context
    return context
  }
}
