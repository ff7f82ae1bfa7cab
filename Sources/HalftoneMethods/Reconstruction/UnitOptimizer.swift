import HalftoneTensor

/// Moves the leaves of a unit: rounding variables at the method's rate, input steps at their own.
struct UnitOptimizer: ~Copyable {
  private var adam = Adam()
  private let settings: Reconstruction

  init(_ settings: Reconstruction) { self.settings = settings }

  mutating func update(_ unit: inout TrainedUnit, _ gradients: [Tensor], step: Int) {
    var leaves = unit.leaves
    let rates = unit.rates(
      rounding: rate(settings.learningRate, step), inputs: rate(settings.inputLearningRate, step))
    switch settings.optimizer {
    case .adam: adam.update(&leaves, gradients, rates: rates)
    case .sign:
      for (i, gradient) in gradients.enumerated() {
        leaves[i] = leaves[i].movedAgainstSign(of: gradient, by: rates[i])
      }
    }
    unit.leaves = leaves
  }

  private func rate(_ start: Float, _ step: Int) -> Float {
    let steps = max(1, settings.iterations)
    return switch settings.optimizer {
    case .adam: CosineSchedule(start: start, steps: steps).rate(at: step)
    case .sign: start * (1 - Float(step) / Float(steps))
    }
  }
}
