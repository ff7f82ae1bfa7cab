import HalftoneCheckpoints
import HalftoneLayers
import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor

/// Settles what a recipe leaves open, layer by layer, before the run begins.
///
/// The size of groups follows from the weights. Of several formats a layer takes the one with which rounding to
/// nearest loses least: of its outputs on the samples to learn from, as they are in the original network, or
/// of the weights themselves where there is no text. The first of equals wins. The same model, recipe and
/// text give the same choice, so that a resumed run finds it again.
struct SchemeSearch {
  let loop: BlockLoop
  let store: any WeightStore
  let progress: (_ block: Int, _ blocks: Int) throws -> Void

  /// The plan without choices.
  func callAsFunction() throws -> Plan {
    var plan = loop.plan
    let open = plan.layers.indices.filter { plan.layers[$0].choice != nil }
    guard let last = open.map({ plan.layers[$0].module.block }).max() else { return plan }
    let needsStream =
      !plan.recipe.transforms.isEmpty
      || open.contains { plan.layers[$0].choice?.comparesFormats ?? false }
    var stream = needsStream ? try loop.firstStreams()?.original : nil
    for index in 0...last {
      try progress(index, last + 1)
      let places = open.filter { plan.layers[$0].module.block == index }
      if !places.isEmpty {
        for place in places { try store.checkFinite(plan.layers[place].module.name + ".weight") }
        try settle(places, in: loop.prepared(index, stream), stream, &plan)
      }
      // The original network's block, not the transformed one: both compute the same, but for truncation.
      if index < last, let x = stream { stream = loop.runner.run(try loop.model.block(index), x) }
    }
    return plan
  }

  private func settle(
    _ places: [Int], in block: any TransformerBlock, _ stream: ActivationStream?,
    _ plan: inout Plan
  ) throws {
    var schemes: [String: [WeightScheme]] = [:]
    var candidates: [String: LayerErrors.Candidates] = [:]
    var errors: [String: [Double]] = [:]
    for place in places {
      let layer = plan.layers[place]
      guard let choice = layer.choice,
        let linear = block.linears.first(where: { $0.name == layer.module.name })
      else { continue }
      let weight = linear.weight.dense()
      let open = choice.schemes(for: weight)
      schemes[linear.name] = open
      guard choice.comparesFormats else { continue }
      let rounded = try open.map { try RoundToNearest.quantize(weight, $0) }
      if stream == nil {
        errors[linear.name] = LayerErrors.onWeights(weight, rounded)
      } else {
        candidates[linear.name] = LayerErrors.Candidates(
          weight: weight, rounded: rounded.map { $0.dequantized() })
      }
    }
    if let stream, let calibration = loop.calibration, !candidates.isEmpty {
      errors =
        LayerErrors.measure(candidates) { body in
          loop.runner.observe(block, stream, calibration.training, body)
        }.errors
    }
    for place in places {
      let name = plan.layers[place].module.name
      guard let open = schemes[name] else { continue }
      let errors = errors[name] ?? []
      let best = errors.indices.min { errors[$0] < errors[$1] } ?? 0
      try plan.settle(place, open[best], errors: errors)
    }
  }
}

extension SchemeChoice {
  /// The schemes with the groups that `weights` call for.
  fileprivate func schemes(for weights: Tensor) -> [WeightScheme] {
    guard let granularity = groups?.granularity(for: weights) else { return schemes }
    return schemes.map { scheme in
      var scheme = scheme
      scheme.granularity = granularity
      return scheme
    }
  }
}
