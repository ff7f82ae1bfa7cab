import HalftoneLayers
public import HalftoneSchemes
public import HalftoneTensor

/// A method that chooses the codes of one layer in closed form from the second moments of its inputs.
public protocol LayerSolver: QuantizationMethod {
  func solve(_ problem: LayerProblem) throws -> LayerSolution
  /// Whether later layers of a block see the earlier ones quantized already.
  var isSequential: Bool { get }
}

/// One layer's weights and what is known of its inputs.
public struct LayerProblem {
  public let name: String
  /// [out, in].
  public let weights: Tensor
  public let scheme: WeightScheme
  /// (2/N)·Σ x·xᵀ over the N calibration tokens of the quantized stream: [in, in].
  public let hessian: SquareMatrix

  public init(name: String, weights: Tensor, scheme: WeightScheme, hessian: SquareMatrix) {
    self.name = name
    self.weights = weights
    self.scheme = scheme
    self.hessian = hessian
  }
}

extension LayerSolver {
  public static var needsCalibration: Bool { true }

  /// Solves the layers of a block in the order in which they run.
  ///
  /// Layers with one input share its Hessian. With ``isSequential`` the block runs again after each
  /// group of layers, so that the next group's inputs carry the error made so far; otherwise all
  /// Hessians come from one pass with the original weights of the block.
  public func solve(_ problem: BlockProblem) throws -> BlockSolution {
    var block = problem.block
    let inputs = try InputCalibration.quantizers(for: problem)
    block.forEachLinear { $0.inputs = inputs[$0.name] }
    let groups = InputMoments.groups(of: block, problem)
    var moments = isSequential ? nil : InputMoments(of: groups.flatMap { $0 }, block, problem)
    var solution = BlockSolution(layers: [:])
    for (done, group) in groups.enumerated() {
      if isSequential { moments = InputMoments(of: group, block, problem) }
      try block.forEachLinear { linear in
        guard group.contains(linear.name), let scheme = problem.schemes[linear.name]?.weights,
          let hessian = moments?.hessian(of: linear.name)
        else { return }
        var layer = try solve(
          LayerProblem(
            name: linear.name, weights: linear.weight.dense(), scheme: scheme, hessian: hessian))
        layer.inputs = inputs[linear.name]
        solution.layers[linear.name] = layer
        if isSequential { linear.weight = .dense(layer.weight.dequantized()) }
      }
      try problem.report(BlockProgress(fraction: Double(done + 1) / Double(groups.count)))
    }
    return solution
  }
}
