import HalftoneLayers
import HalftoneMethods
import HalftoneReport
import HalftoneSchemes
import HalftoneTensor

extension BlockLoop {
  /// One layer, rounded to nearest in several ways.
  private struct Roundings {
    /// Of the original weight, on the plain min-max grid and on the scheme's own.
    let plain: QuantizedTensor
    let nearest: QuantizedTensor
    /// Of what was quantized; another one than `nearest` where a transform changed it.
    let fallback: QuantizedTensor
  }

  /// Measures every layer of the solution, and replaces it where the recipe says so.
  ///
  /// `original` is the block before the recipe's transforms, `problem.block` the one after them.
  func judge(
    _ solution: inout BlockSolution, _ problem: BlockProblem, original: any TransformerBlock,
    _ streams: Streams?
  ) throws -> [BlockResult.Layer] {
    var rounded: [String: Roundings] = [:]
    for (linear, own) in zip(problem.block.linears, original.linears) {
      guard let scheme = problem.schemes[linear.name]?.weights else { continue }
      guard let layer = solution.layers[linear.name] else {
        throw MethodError("the method gave no solution for \(linear.name)")
      }
      rounded[linear.name] = try roundings(linear.weight.dense(), own.weight.dense(), scheme, layer)
    }
    let measured = errors(rounded, solution, problem, original, streams)
    return try problem.block.linears.compactMap { linear in
      guard let rounded = rounded[linear.name] else { return nil }
      return try verdict(linear.name, &solution, rounded.fallback, measured, problem)
    }
  }

  private func roundings(
    _ weight: Tensor, _ original: Tensor, _ scheme: WeightScheme, _ layer: LayerSolution
  ) throws -> Roundings {
    let isRounding = plan.recipe.method is RoundToNearest
    let fallback = isRounding ? layer.weight : try RoundToNearest.quantize(weight, scheme)
    let nearest =
      plan.recipe.transforms.isEmpty ? fallback : try RoundToNearest.quantize(original, scheme)
    guard scheme.range != .minMax else {
      return Roundings(plain: nearest, nearest: nearest, fallback: fallback)
    }
    var plain = scheme
    plain.range = .minMax
    return Roundings(
      plain: try RoundToNearest.quantize(original, plain), nearest: nearest, fallback: fallback)
  }

  // MARK: - Errors

  /// Of each layer: plain rounding, rounding on the scheme's grid, the solution, its fallback.
  private func errors(
    _ rounded: [String: Roundings], _ solution: BlockSolution, _ problem: BlockProblem,
    _ original: any TransformerBlock, _ streams: Streams?
  ) -> LayerErrors.Result {
    guard let streams, let calibration else {
      return errorsOfWeights(rounded, solution, problem)
    }
    let shifts = solution.layers.values.contains { $0.bias != nil }
    guard shifts || !plan.recipe.transforms.isEmpty else {
      var candidates: [String: LayerErrors.Candidates] = [:]
      for linear in problem.block.linears {
        guard let rounded = rounded[linear.name], let layer = solution.layers[linear.name] else {
          continue
        }
        candidates[linear.name] = LayerErrors.Candidates(
          weight: linear.weight.dense(),
          rounded: [
            rounded.plain.dequantized(), rounded.nearest.dequantized(),
            layer.applied(to: linear).effectiveWeight(),
          ])
      }
      return LayerErrors.measure(candidates) { body in
        runner.observe(problem.block, streams.quantized, calibration.heldOut, body)
      }
    }
    // A corrected bias makes up for what earlier blocks did, too: the original network is the judge.
    let sources = [
      (original, shifts ? streams.original : streams.quantized), (original, streams.quantized),
      (problem.block, streams.quantized),
    ]
    return LayerErrors.measure(pairs(rounded, solution, problem, original)) { body in
      runner.observe(sources, calibration.heldOut, body)
    }
  }

  /// Candidates that see the inputs of another block or stream than the original layer.
  private func pairs(
    _ rounded: [String: Roundings], _ solution: BlockSolution, _ problem: BlockProblem,
    _ original: any TransformerBlock
  ) -> [String: LayerErrors.Pairs] {
    var pairs: [String: LayerErrors.Pairs] = [:]
    for (linear, own) in zip(problem.block.linears, original.linears) {
      guard let rounded = rounded[linear.name], let layer = solution.layers[linear.name] else {
        continue
      }
      pairs[linear.name] = LayerErrors.Pairs(
        weight: own.weight.dense(), bias: own.bias,
        candidates: [
          .init(weight: rounded.plain.dequantized(), bias: own.bias, source: 1),
          .init(weight: rounded.nearest.dequantized(), bias: own.bias, source: 1),
          .init(
            weight: layer.applied(to: linear).effectiveWeight(), bias: layer.bias ?? linear.bias,
            source: 2),
          .init(weight: rounded.fallback.dequantized(), bias: linear.bias, source: 2),
        ])
    }
    return pairs
  }

  private func errorsOfWeights(
    _ rounded: [String: Roundings], _ solution: BlockSolution, _ problem: BlockProblem
  ) -> LayerErrors.Result {
    var result = LayerErrors.Result()
    for linear in problem.block.linears {
      guard let rounded = rounded[linear.name], let layer = solution.layers[linear.name] else {
        continue
      }
      let weight = linear.weight.dense()
      var errors = LayerErrors.onWeights(weight, [rounded.plain, rounded.nearest, layer.weight])
      if layer.lowRank != nil {
        errors[2] = LayerErrors.relative(layer.applied(to: linear).effectiveWeight(), to: weight)
      }
      result.errors[linear.name] = errors
    }
    return result
  }

  // MARK: - Verdict

  private func verdict(
    _ name: String, _ solution: inout BlockSolution, _ fallback: QuantizedTensor,
    _ measured: LayerErrors.Result, _ problem: BlockProblem
  ) throws -> BlockResult.Layer? {
    guard let layer = solution.layers[name], let scheme = problem.schemes[name],
      let errors = measured.errors[name]
    else { return nil }
    guard errors.allSatisfy(\.isFinite) else {
      throw MethodError("the error of \(name) is not a number; lower the learning rate")
    }
    var record = LayerRecord(
      name: name, scheme: Plan.describe(scheme),
      method: plan.recipe.steps.map(\.name).joined(separator: " + "), errorBefore: errors[0],
      errorAfter: errors[2], errorRTN: errors[1], seconds: 0, warnings: layer.warnings)
    record.choices = plan.layers.first { $0.module.name == name }?.choice?.records
    if let zeros = measured.zeroChannels[name], zeros > 0 {
      record.warnings.append("\(zeros) input channels are zero in all held-out rows")
    }
    if errors[2] > errors[1] {
      let ratio = ByteSize.fixed(errors[2] / errors[1], 2)
      record.warnings.append("\(LayerRecord.worseThanRounding) is \(ratio)")
      if plan.recipe.whenWorse == .roundToNearest {
        record.warnings.append("rounded to nearest instead, as the recipe says")
        record.method = "rtn"
        record.errorAfter = errors.count > 3 ? errors[3] : errors[1]
        solution.layers[name] = LayerSolution(weight: fallback, inputs: layer.inputs)
      }
    }
    return solution.layers[name].map { BlockResult.Layer($0, record: record) }
  }
}

extension LayerRecord {
  /// How the warning about a layer that a method made worse begins.
  static let worseThanRounding = "error relative to rounding to nearest"
}
