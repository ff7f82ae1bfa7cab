import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

extension Reconstruction {
  /// Trains the layers of a block one after another, in the order in which they run.
  ///
  /// A layer's target is its output in the original block on the FP stream; its input is what reaches it
  /// in the Q stream, the earlier layers of the block quantized already.
  func solveLayers(
    _ problem: BlockProblem, with rounding: some LearnableRounding
  ) throws -> BlockSolution {
    var block = problem.block
    block.forEachLinear { $0.weight = .dense($0.weight.dense()) }
    let original = block
    var solution = BlockSolution(layers: [:])
    let groups = InputMoments.groups(of: block, problem)
    let count = groups.reduce(0) { $0 + $1.count }
    for group in groups {
      let inputs = (
        original: LayerInputs.of(group[0], original, problem.original, problem),
        quantized: LayerInputs.of(group[0], block, problem.quantized, problem)
      )
      for linear in original.linears where group.contains(linear.name) {
        guard let scheme = problem.schemes[linear.name] else { continue }
        let done = Double(solution.layers.count)
        var layer = problem
        layer.block = LayerUnit(linear)
        layer.schemes = [linear.name: scheme]
        (layer.original, layer.quantized) = (inputs.original, inputs.quantized)
        layer.targets = ActivationStream(
          activations: linear(inputs.original.activations, problem.makeContext(1)),
          length: problem.targets.length)
        layer.report = { step in
          try problem.report(
            BlockProgress(fraction: (done + step.fraction) / Double(count), loss: step.loss))
        }
        solution.add(try train(layer, with: rounding).solution)
      }
      block.forEachLinear { linear in
        guard let layer = solution.layers[linear.name] else { return }
        linear.weight = .dense(layer.weight.dequantized())
        linear.inputs = layer.inputs
      }
    }
    return solution
  }
}

extension BlockSolution {
  /// The layers of `other` beside these; losses add up, as those of separate objectives do.
  fileprivate mutating func add(_ other: BlockSolution) {
    func sum(_ a: Float?, _ b: Float?) -> Float? { a.map { $0 + (b ?? 0) } ?? b }
    layers.merge(other.layers) { $1 }
    lossFirst = sum(lossFirst, other.lossFirst)
    lossLast = sum(lossLast, other.lossLast)
    heldOutFirst = sum(heldOutFirst, other.heldOutFirst)
    heldOutLast = sum(heldOutLast, other.heldOutLast)
    iterations = max(iterations, other.iterations)
    settled = settled.map { min($0, other.settled ?? $0) } ?? other.settled
    learnedParameters = (learnedParameters ?? 0) + (other.learnedParameters ?? 0)
  }
}

/// What enters one layer as a stream runs through its block.
enum LayerInputs {
  static func of(
    _ layer: String, _ block: any TransformerBlock, _ stream: ActivationStream,
    _ problem: BlockProblem
  ) -> ActivationStream {
    var pieces: [Tensor] = []
    for i in 0..<stream.samples {
      var context = problem.makeContext(1)
      context.observe = { name, input in
        if name == layer { pieces.append(input) }
      }
      _ = block(stream.samples(i..<i + 1), context)
    }
    return ActivationStream(activations: .concatenating(pieces), length: stream.length)
  }
}
