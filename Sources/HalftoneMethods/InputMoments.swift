import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

/// Second moments of the inputs of a block's layers over the training samples of the Q stream.
struct InputMoments {
  private var sums: [String: SquareMatrix] = [:]
  private var crossSums: [String: SquareMatrix] = [:]
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

  /// Runs `block` over the training samples and sums x·xᵀ for `layers`; if `crossed`, the original
  /// block over the original stream beside it, and x₀·xᵀ of both inputs.
  init(
    of layers: [String], _ block: any TransformerBlock, _ problem: BlockProblem, crossed: Bool
  ) {
    let wanted = Set(layers)
    let batch = 8
    for start in stride(
      from: problem.training.lowerBound, to: problem.training.upperBound, by: batch)
    {
      let samples = start..<min(start + batch, problem.training.upperBound)
      let x = problem.quantized.samples(samples)
      let context = problem.makeContext(samples.count)
      let inputs = Inputs(of: wanted, block, x, context)
      owner = inputs.owners
      let original =
        crossed
        ? Inputs(of: wanted, problem.block, problem.original.samples(samples), context) : nil
      for (name, input) in inputs.fresh {
        add(name, block, input, original?.fresh.first { $0.name == name }?.input)
      }
      tokens += x.rows
    }
  }

  /// What the layers of a block read in one pass.
  private struct Inputs {
    /// Each input once, under the name of the first layer that reads it.
    var fresh: [(name: String, input: Tensor)] = []
    /// That name, for the other layers that read it.
    var owners: [String: String] = [:]

    init(
      of wanted: Set<String>, _ block: any TransformerBlock, _ x: Tensor, _ context: ForwardContext
    ) {
      var previous: (name: String, input: Tensor)?
      var fresh: [(String, Tensor)] = []
      var owners: [String: String] = [:]
      var context = context
      context.observe = { name, input in
        guard wanted.contains(name) else { return }
        if let previous, previous.input.sharesElements(with: input) {
          owners[name] = owners[previous.name] ?? previous.name
        } else {
          fresh.append((name, input))
        }
        previous = (name, input)
      }
      _ = block(x, context)
      self.fresh = fresh.map { (name: $0.0, input: $0.1) }
      self.owners = owners
    }
  }

  /// The moments of what the layer multiplies: its input after the input quantizer.
  private mutating func add(
    _ name: String, _ block: any TransformerBlock, _ input: Tensor, _ original: Tensor?
  ) {
    let quantizer = block.linears.first { $0.name == name }?.inputs
    let x = quantizer?(input) ?? input
    sums[name, default: SquareMatrix(zeros: x.columns)].addGram(of: x)
    guard let original else { return }
    crossSums[name, default: SquareMatrix(zeros: x.columns)].addProduct(of: original, x)
  }

  /// (2/N)·Σ x·xᵀ.
  func hessian(of layer: String) -> SquareMatrix? { mean(sums[owner[layer] ?? layer]) }

  /// (2/N)·Σ x₀·xᵀ, if it was summed.
  func crossMoments(of layer: String) -> SquareMatrix? { mean(crossSums[owner[layer] ?? layer]) }

  private func mean(_ sum: SquareMatrix?) -> SquareMatrix? {
    guard var sum, tokens > 0 else { return nil }
    for i in sum.elements.indices { sum.elements[i] *= 2 / Double(tokens) }
    return sum
  }
}
