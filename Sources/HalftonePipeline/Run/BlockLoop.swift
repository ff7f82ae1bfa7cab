import Foundation
import HalftoneLayers
import HalftoneMethods
import HalftoneReport
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

  var runner: BlockRunner { BlockRunner(model: model) }

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
    var solution = try solution(&problem)
    carried.hasChanged = solution.carried != nil
    if let fresh = solution.carried { carried.tensors = fresh }
    let layers = try judge(&solution, problem, original: block, streams)
    var outputError: Double?
    if let entering = streams, let targets {
      let quantized = quantized(problem.block, &solution, entering.quantized)
      let outputs = runner.run(quantized, entering.quantized)
      try checkFinite(outputs, "the outputs of the quantized block \(index)")
      outputError = LayerErrors.relative(
        outputs.samples(problem.heldOut), to: targets.samples(problem.heldOut))
      streams = Streams(original: targets, quantized: outputs)
    }
    let seconds = (clock.now - start) / .seconds(1)
    return BlockResult(
      layers: layers.map { layer in
        var layer = layer
        layer.record.seconds = seconds / Double(max(1, layers.count))
        return layer
      },
      parameters: solution.parameters,
      record: BlockRecord(
        index: index, lossFirst: solution.lossFirst.map(Double.init),
        lossLast: solution.lossLast.map(Double.init), iterations: solution.iterations,
        seconds: seconds, heldOutFirst: solution.heldOutFirst.map(Double.init),
        heldOutLast: solution.heldOutLast.map(Double.init),
        learnedParameters: solution.learnedParameters,
        settled: solution.settled.map(Double.init), outputError: outputError))
  }

  /// `block` with its quantized layers and, where the recipe asks for it, the ranges of its cache, which
  /// become parameters of `solution`.
  private func quantized(
    _ block: any TransformerBlock, _ solution: inout BlockSolution, _ entering: ActivationStream
  ) -> any TransformerBlock {
    var block = block
    block.forEachLinear { linear in
      if let layer = solution.layers[linear.name] { linear = layer.applied(to: linear) }
    }
    if let cache = plan.recipe.cache {
      let scales = CacheCalibration.fit(&block, entering, cache, runner)
      solution.parameters.merge(scales) { _, new in new }
    }
    return block
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
    problem.precision = plan.recipe.trainingPrecision
    return problem
  }

  private var network: Network? {
    guard let calibration else { return nil }
    return Network(
      model: model, ids: calibration.ids, schemes: { plan.schemes(ofBlock: $0) },
      prepared: prepared)
  }

  /// Block `index` with its original weights as the recipe's transforms leave it, given what enters it in the
  /// original network; nil without calibration text, or without transforms.
  func prepared(_ index: Int, _ stream: ActivationStream?) throws -> any TransformerBlock {
    let streams = stream.map { Streams(original: $0, quantized: $0) }
    var problem = problem(index, try model.block(index), streams, nil) { _ in }
    _ = try transform(&problem)
    return problem.block
  }

  // MARK: - Numbers that are none

  private func checkFinite(_ stream: ActivationStream, _ what: String) throws {
    guard !stream.activations.isFinite else { return }
    throw PipelineError(
      .badInput, "\(what) hold NaN or infinity; the model cannot be run in 32-bit floats",
      at: source)
  }
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
