public import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

extension BlockSolution {
  /// Adds what `compensators` find, layer by layer in the order in which they run.
  ///
  /// `problem.block` is what was quantized; `original` is the block of the original network, the
  /// same one where the recipe names no transform. A layer's compensators run one after another, and
  /// each sees what those before it added.
  /// - Throws: what the compensators and `problem.report` throw.
  public mutating func compensate(
    by compensators: [any Compensator], _ problem: BlockProblem, original: any TransformerBlock
  ) throws {
    guard !compensators.isEmpty, !layers.isEmpty else { return }
    let needed = compensators.reduce(into: InputKnowledge()) { $0.formUnion($1.inputsNeeded) }
    let originals = Dictionary(
      original.linears.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let originalInputs =
      needed.contains(.original)
      ? InputStatistics.gather(Set(layers.keys), of: original, problem.original, problem) : [:]
    var block = problem.block
    let groups =
      needed.isEmpty ? [block.linears.map(\.name)] : InputMoments.groups(of: block, problem)
    for (done, group) in groups.enumerated() {
      let names = Set(group).intersection(layers.keys)
      block.forEachLinear { linear in
        guard names.contains(linear.name), let layer = layers[linear.name] else { return }
        linear.inputs = layer.inputs
      }
      let inputs =
        needed.contains(.quantized)
        ? InputStatistics.gather(names, of: block, problem.quantized, problem) : [:]
      try block.forEachLinear { linear in
        guard names.contains(linear.name), let own = originals[linear.name] else { return }
        try compensate(
          &linear, own, by: compensators, originalInputs[linear.name], inputs[linear.name])
      }
      try problem.report(BlockProgress(fraction: Double(done + 1) / Double(groups.count)))
    }
  }

  /// Compensates one layer, and leaves `linear` as the quantized network has it.
  private mutating func compensate(
    _ linear: inout Linear, _ original: Linear, by compensators: [any Compensator],
    _ originalInputs: InputStatistics?, _ inputs: InputStatistics?
  ) throws {
    guard var layer = layers[linear.name] else { return }
    let weights = linear.weight.dense()
    for compensator in compensators {
      let found = try compensator.compensate(
        CompensationProblem(
          name: linear.name, weights: weights, originalWeights: original.weight.dense(),
          originalBias: original.bias, solution: layer, bias: layer.bias ?? linear.bias,
          originalInputs: originalInputs, quantizedInputs: inputs))
      if let bias = found.bias {
        layer.bias = (layer.bias ?? linear.bias).map { $0 + bias } ?? bias
      }
      if let factors = found.lowRank {
        layer.lowRank = try layer.lowRank.map { try $0.adding(factors) } ?? factors
      }
      layer.warnings += found.warnings
    }
    layers[linear.name] = layer
    linear = layer.applied(to: linear)
  }
}
