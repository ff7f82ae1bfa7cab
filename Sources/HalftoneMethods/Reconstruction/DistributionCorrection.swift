import HalftoneLayers
package import HalftoneTensor

/// Moves the inputs of an original block until what its layers see of each sample has the moments that
/// the whole calibration set has there.
///
/// PD-Quant matches batch normalisation's statistics. Language models have none; in their place this
/// takes the mean and deviation of each input channel of the block's linear layers over all training
/// samples, which is our extension:
///
///     Σ_layers (‖μ̂ − μ‖² + ‖σ̂ − σ‖²) / B + (1/λ_c)·Σ_channels mean_{samples, positions} (x − x₀)²
///
/// μ̂, σ̂ [samples, channels] are those of one sample. Adam moves x along a cosine schedule.
package struct DistributionCorrection {
  let iterations: Int
  let batch: Int
  let learningRate: Float
  /// λ_c.
  let distance: Float

  package init(iterations: Int, batch: Int, learningRate: Float, distance: Float) {
    self.iterations = iterations
    self.batch = batch
    self.learningRate = learningRate
    self.distance = distance
  }

  /// Of the inputs of one layer: [samples, channels] each.
  package struct Moments {
    package let mean: Tensor
    package let deviation: Tensor
  }

  /// The problem with corrected inputs of the FP stream for its training samples, and their targets.
  package func corrected(_ problem: BlockProblem) throws -> BlockProblem {
    let layers = Set(InputMoments.groups(of: problem.block, problem).map { $0[0] })
    let goal = Self.moments(
      of: layers, problem.block, problem.original, problem.training, problem)
    var inputs: [Tensor] = []
    var outputs: [Tensor] = []
    func keep(_ range: Range<Int>) {
      guard !range.isEmpty else { return }
      inputs.append(problem.original.samples(range))
      outputs.append(problem.targets.samples(range))
    }
    let original = try problem.network?.model.block(problem.index) ?? problem.block
    keep(0..<problem.training.lowerBound)
    for start in stride(
      from: problem.training.lowerBound, to: problem.training.upperBound, by: batch)
    {
      let range = start..<min(start + batch, problem.training.upperBound)
      let x = try moved(range, towards: goal, problem)
      inputs.append(x)
      outputs.append(original(x, problem.makeContext(range.count)))
    }
    keep(problem.training.upperBound..<problem.original.samples)
    var result = problem
    result.original.activations = .concatenating(inputs)
    result.targets.activations = .concatenating(outputs)
    return result
  }

  /// The samples of `range` after all iterations.
  private func moved(
    _ range: Range<Int>, towards goal: [String: Moments], _ problem: BlockProblem
  ) throws -> Tensor {
    let start = problem.original.samples(range)
    var leaves = [start.tracked()]
    var adam = Adam()
    let schedule = CosineSchedule(start: learningRate, steps: max(1, iterations))
    for step in 0..<iterations {
      try problem.report(BlockProgress(fraction: 0))
      let gradients = loss(leaves[0], start, range.count, goal, problem).gradients(of: leaves)
      adam.update(&leaves, gradients, rate: schedule.rate(at: step))
    }
    return leaves[0].detached
  }

  private func loss(
    _ x: Tensor, _ start: Tensor, _ samples: Int, _ goal: [String: Moments],
    _ problem: BlockProblem
  ) -> Tensor {
    var total = x.squaredError(to: start, dividedBy: distance * Float(x.rows))
    var context = problem.makeContext(samples)
    context.observe = { name, input in
      guard let goal = goal[name] else { return }
      let found = Self.moments(of: input, samples: samples)
      let pairs = [(found.mean, goal.mean), (found.deviation, goal.deviation)]
      for (value, wanted) in pairs {
        let rows = Tensor.concatenating([Tensor](repeating: wanted, count: samples))
        total = total + value.squaredError(to: rows, dividedBy: Float(samples))
      }
    }
    _ = problem.block(x, context)
    return total
  }

  // MARK: - Moments

  /// Of each of `samples` sequences, differentiable: μ = A·x, σ² = A·(x − μ)² with A the average over
  /// positions.
  package static func moments(of x: Tensor, samples: Int) -> Moments {
    let length = x.rows / samples
    let belongs = Tensor(
      (0..<samples * x.rows).map { $0 % x.rows / length == $0 / x.rows ? 1 : 0 },
      shape: [samples, x.rows])
    let average = belongs * (1 / Float(length))
    let mean = average.matmul(x)
    let centred = x - belongs.transposed().matmul(mean)
    let variance = average.matmul(centred * centred)
    // Above zero for a channel that never changes.
    let floor = Tensor(repeating: 1e-8, shape: variance.shape)
    return Moments(mean: mean, deviation: ((variance + floor).log() * 0.5).exp())
  }

  /// Over all positions of `range` together, [1, channels].
  private static func moments(
    of layers: Set<String>, _ block: any TransformerBlock, _ stream: ActivationStream,
    _ range: Range<Int>, _ problem: BlockProblem
  ) -> [String: Moments] {
    var sums: [String: (mean: Tensor, square: Tensor)] = [:]
    for i in range {
      var context = problem.makeContext(1)
      context.observe = { name, x in
        guard layers.contains(name) else { return }
        let average = Tensor(repeating: 1 / Float(x.rows), shape: [1, x.rows])
        let (mean, square) = (average.matmul(x), average.matmul(x * x))
        sums[name] = sums[name].map { ($0.mean + mean, $0.square + square) } ?? (mean, square)
      }
      _ = block(stream.samples(i..<i + 1), context)
    }
    return sums.mapValues { sum in
      let (mean, square) = (sum.mean * (1 / Float(range.count)), sum.square.values)
      let deviation = zip(mean.values, square).map { mean, square in
        (max(square / Float(range.count) - mean * mean, 0) + 1e-8).squareRoot()
      }
      return Moments(mean: mean, deviation: Tensor(deviation, shape: mean.shape))
    }
  }
}
