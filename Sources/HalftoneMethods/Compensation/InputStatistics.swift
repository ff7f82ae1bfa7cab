import HalftoneLayers
public import HalftoneTensor

/// Figures of each channel of a layer's inputs over the calibration tokens.
public struct InputStatistics: Sendable, Equatable {
  public private(set) var mean: [Double]
  public private(set) var meanSquare: [Double]

  /// Of the rows of `inputs` [tokens, channels]; one token at least.
  public init(of inputs: Tensor) {
    self.init(channels: inputs.columns)
    add(inputs)
    divide(by: inputs.rows)
  }

  private init(channels: Int) {
    mean = [Double](repeating: 0, count: channels)
    meanSquare = mean
  }

  /// Sums in the order of the rows, so that the result is the same for any number of threads.
  private mutating func add(_ inputs: Tensor) {
    let columns = inputs.columns
    inputs.withElements { x in
      for start in stride(from: 0, to: x.count, by: columns) {
        for j in 0..<columns {
          let value = Double(x[start + j])
          mean[j] += value
          meanSquare[j] += value * value
        }
      }
    }
  }

  private mutating func divide(by tokens: Int) {
    for j in mean.indices {
      mean[j] /= Double(tokens)
      meanSquare[j] /= Double(tokens)
    }
  }

  /// What the layers named multiply, after their input quantizers, as `block` runs over the training
  /// samples of `stream`.
  static func gather(
    _ layers: Set<String>, of block: any TransformerBlock, _ stream: ActivationStream,
    _ problem: BlockProblem
  ) -> [String: InputStatistics] {
    let quantizers = Dictionary(
      block.linears.map { ($0.name, $0.inputs) }, uniquingKeysWith: { first, _ in first })
    var sums: [String: InputStatistics] = [:]
    var tokens = 0
    let batch = 8
    for start in stride(
      from: problem.training.lowerBound, to: problem.training.upperBound, by: batch)
    {
      let samples = start..<min(start + batch, problem.training.upperBound)
      var context = problem.makeContext(samples.count)
      context.observe = { name, input in
        guard layers.contains(name) else { return }
        let x = (quantizers[name] ?? nil)?(input) ?? input
        sums[name, default: InputStatistics(channels: x.columns)].add(x)
      }
      _ = block(stream.samples(samples), context)
      tokens += samples.count * stream.length
    }
    return sums.mapValues { sum in
      var result = sum
      result.divide(by: max(1, tokens))
      return result
    }
  }
}
