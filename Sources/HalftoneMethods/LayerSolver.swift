import HalftoneLayers
public import HalftoneSchemes
public import HalftoneTensor

/// A method that chooses the codes of one layer in closed form from the second moments of its inputs.
public protocol LayerSolver: QuantizationMethod {
  func solve(_ problem: LayerProblem) throws -> LayerSolution
  /// Whether later layers of a block see the earlier ones quantized already.
  var isSequential: Bool { get }
  /// Whether ``LayerProblem/crossMoments`` are wanted, which take a second pass through the block.
  var needsOriginalInputs: Bool { get }
}

/// One layer's weights and what is known of its inputs.
public struct LayerProblem {
  public let name: String
  /// [out, in].
  public let weights: Tensor
  public let scheme: WeightScheme
  /// (2/N)·Σ x·xᵀ over the N calibration tokens of the quantized stream: [in, in].
  public let hessian: SquareMatrix
  /// (2/N)·Σ x₀·xᵀ of the same tokens' inputs x₀ in the original network and x in the quantized one.
  ///
  /// [in, in]. With it the layer is to reproduce W·x₀ from x; without, W·x.
  public let crossMoments: SquareMatrix?

  public init(
    name: String, weights: Tensor, scheme: WeightScheme, hessian: SquareMatrix,
    crossMoments: SquareMatrix? = nil
  ) {
    precondition(hessian.size == weights.columns)
    precondition(crossMoments?.size ?? hessian.size == hessian.size)
    self.name = name
    self.weights = weights
    self.scheme = scheme
    self.hessian = hessian
    self.crossMoments = crossMoments
  }
}

extension LayerSolver {
  public static var needsCalibration: Bool { true }
  public var needsOriginalInputs: Bool { false }

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
    let crossed = needsOriginalInputs
    var moments =
      isSequential
      ? nil : InputMoments(of: groups.flatMap { $0 }, block, problem, crossed: crossed)
    var solution = BlockSolution(layers: [:])
    for (done, group) in groups.enumerated() {
      if isSequential { moments = InputMoments(of: group, block, problem, crossed: crossed) }
      try block.forEachLinear { linear in
        guard group.contains(linear.name), let scheme = problem.schemes[linear.name]?.weights,
          let hessian = moments?.hessian(of: linear.name)
        else { return }
        var layer = try solve(
          LayerProblem(
            name: linear.name, weights: linear.weight.dense(), scheme: scheme, hessian: hessian,
            crossMoments: moments?.crossMoments(of: linear.name)))
        layer.inputs = inputs[linear.name]
        solution.layers[linear.name] = layer
        if isSequential { linear.weight = .dense(layer.weight.dequantized()) }
      }
      try problem.report(BlockProgress(fraction: Double(done + 1) / Double(groups.count)))
    }
    return solution
  }
}

extension LayerProblem {
  /// W·(C − H), what asymmetric calibration adds to half the gradient's negative at Ŵ = W; nil
  /// without cross moments: [out, in], row-major.
  var asymmetry: [Double]? {
    crossMoments.map { ($0 - hessian).applied(to: weights.values.map(Double.init)) }
  }

  /// The output error of each row of `rounded` [out, in], up to what no choice of codes changes.
  ///
  /// d·H·dᵀ for d = ŵ − w; with cross moments C, d·H·dᵀ − 2·w·(C − H)·dᵀ, which is
  /// ‖w·X₀ − ŵ·X‖² less ‖w·(X₀ − X)‖².
  public func rowErrors(of rounded: Tensor) -> [Double] {
    let differences = zip(rounded.values, weights.values).map { Double($0) - Double($1) }
    var errors = hessian.quadraticForms(of: differences)
    guard let asymmetry else { return errors }
    for i in differences.indices {
      errors[i / weights.columns] -= 2 * asymmetry[i] * differences[i]
    }
    return errors
  }

  /// Throws unless weights and moments are finite.
  func checkFinite(_ method: String) throws {
    guard weights.isFinite, hessian.isFinite,
      crossMoments?.isFinite ?? true
    else {
      throw MethodError(
        "\(method): the weights or the inputs of \(name) hold NaN or infinity; "
          + "look for the first layer whose outputs overflow")
    }
  }

  /// The input channels that are zero in every token.
  var deadColumns: [Int] { (0..<hessian.size).filter { hessian[$0, $0] == 0 } }
}
