import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

/// Second moments of the inputs of a block's layers over the training samples of the Q stream.
struct InputMoments {
  private var sums: [String: SquareMatrix] = [:]
  private var owner: [String: String] = [:]
  private var tokens = 0

  /// The block's layers in running order, those that read the same tensor together.
  static func groups(of block: any TransformerBlock, _ problem: BlockProblem) -> [[String]] {
    var groups: [[String]] = []
    var previous: Tensor?
    var context = problem.makeContext(1)
    context.observe = { name, input in
      if let previous, previous.sharesElements(with: input) {
        groups[groups.count - 1].append(name)
      } else {
        groups.append([name])
      }
      previous = input
    }
    let first = problem.training.lowerBound
    _ = block(problem.quantized.samples(first..<first + 1), context)
    return groups
  }

  /// Runs `block` over the training samples and sums x·xᵀ for `layers`.
  init(of layers: [String], _ block: any TransformerBlock, _ problem: BlockProblem) {
    let wanted = Set(layers)
    let batch = 8
    for start in stride(
      from: problem.training.lowerBound, to: problem.training.upperBound, by: batch)
    {
      let samples = start..<min(start + batch, problem.training.upperBound)
      var previous: (name: String, input: Tensor)?
      var context = problem.makeContext(samples.count)
      var fresh: [(String, Tensor)] = []
      var owners: [String: String] = [:]
      context.observe = { name, input in
        guard wanted.contains(name) else { return }
        if let previous, previous.input.sharesElements(with: input) {
          owners[name] = owners[previous.name] ?? previous.name
        } else {
          fresh.append((name, input))
        }
        previous = (name, input)
      }
      let x = problem.quantized.samples(samples)
      _ = block(x, context)
      owner = owners
      for (name, input) in fresh { add(name, block, input) }
      tokens += x.rows
    }
  }

  /// The moments of what the layer multiplies: its input after the input quantizer.
  private mutating func add(_ name: String, _ block: any TransformerBlock, _ input: Tensor) {
    let quantizer = block.linears.first { $0.name == name }?.inputs
    let x = quantizer?(input) ?? input
    sums[name, default: SquareMatrix(zeros: x.columns)].addGram(of: x)
  }

  /// (2/N)·Σ x·xᵀ.
  func hessian(of layer: String) -> SquareMatrix? {
    guard var sum = sums[owner[layer] ?? layer], tokens > 0 else { return nil }
    for i in sum.elements.indices { sum.elements[i] *= 2 / Double(tokens) }
    return sum
  }
}
