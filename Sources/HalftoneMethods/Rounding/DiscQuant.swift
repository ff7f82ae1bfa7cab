import HalftoneLayers
public import HalftoneSchemes
import HalftoneTensor

/// Chooses for every weight of the network at once the representable value below or above, so that the
/// network's predictions change as little as possible.
///
/// Chee, Backurs, Heck, Zhang, Kulkarni, Rothvoss, Gopi. *DiscQuant: A Quantization Method for Neural
/// Networks Inspired by Discrepancy Theory.* COLT 2025. <https://arxiv.org/abs/2501.06417>, with the
/// recipe of the authors' code (jerry-chee/DiscQuant).
///
/// | Paper      | Code               | Shape     |
/// | ---------- | ------------------ | --------- |
/// | w          | `weights`          | [out, in] |
/// | w↓, w↑     | `below`, `above`   | [out, in] |
/// | x          | `share`            | [out, in] |
/// | y          | position of w between w↓ and w↑ | [out, in] |
/// | c* = 1−2y  | `linear`           |           |
/// | ρ = 1/λ    | `rho`              |           |
/// | Δ̄²         | `squaredStep`      |           |
///
/// Wₓ = (1 − x)∘w↓ + x∘w↑ with x in [0, 1]. Minimises KL(p_W ‖ p_Wₓ)·ρ/Δ̄² + ⟨1 − 2y, x⟩: Adam on
/// d = (1 − 2y) + clip(ρ·∂KL/∂x / Δ̄², ±c), each step projected onto [0, 1]. For x in {0, 1} the linear
/// term is ‖x − y‖² up to a constant. At the end a weight takes w↑ where x > ½.
///
/// Where this differs from the authors' code: no weight decay (AdamW's default pulls x to w↓), the
/// divergence from logarithms of softmax in single precision, and the defaults for small networks.
public struct DiscQuant: QuantizationMethod, Equatable {
  public static let name = "discquant"
  public static let summary =
    "Rounds all weights of the network at once, down or up, by the divergence of its predictions."
  public static let citation =
    "Chee, Backurs, Heck, Zhang, Kulkarni, Rothvoss, Gopi. DiscQuant: A Quantization Method for Neural "
    + "Networks Inspired by Discrepancy Theory. COLT 2025. https://arxiv.org/abs/2501.06417"
  public static var needsCalibration: Bool { true }
  public static var usesSeed: Bool { true }

  /// Steps of the optimiser for the whole network.
  public var iterations = 1024
  /// Samples per iteration.
  public var batch = 8
  public var learningRate: Float = 0.1
  /// ρ, the weight of the divergence against the linear term.
  public var rho: Float = 200
  /// c, the bound on the divergence's part of the direction.
  public var clamp: Float = 1
  /// The share of iterations over which the rate rises before it falls along a cosine.
  public var warmUp: Float = 0.125
  public var start = Start.uniform
  public var linear = LinearTerm.nearest

  /// The first x.
  public enum Start: String, RecipeWord {
    /// Independent and uniform on [0, 1], as in the authors' code.
    case uniform
    /// y: the original weights, where they lie inside the range.
    case weights
    /// The nearer neighbour.
    case nearest
  }

  /// The linear term of the objective.
  public enum LinearTerm: String, RecipeWord {
    /// 1 − 2y, towards the nearer neighbour.
    case nearest
    /// None: the ablation.
    case none
  }

  public init() {}

  public var blocksAtOnce: Int? { nil }

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    guard iterations > 0 else {
      throw SchemeError("discquant: iterations is \(iterations); use at least 1, or the method rtn")
    }
    guard batch > 0 else { throw SchemeError("discquant: batch is \(batch); use at least 1") }
    guard learningRate > 0, learningRate.isFinite else {
      throw SchemeError("discquant: learning-rate is \(learningRate); use a positive number")
    }
    guard rho > 0, rho.isFinite, clamp > 0, clamp.isFinite else {
      throw SchemeError("discquant: rho is \(rho) and clamp \(clamp); use positive numbers")
    }
    guard (0..<1).contains(warmUp) else {
      throw SchemeError("discquant: warm-up is \(warmUp); use a number from 0 to below 1")
    }
    if let inputs = scheme.inputs, !inputs.dynamic {
      throw SchemeError(
        "discquant: inputs with dynamic: false have no range before the network is trained; "
          + "use dynamic: true")
    }
  }

  /// Trains the whole network with its first block and hands the codes of the others on.
  public func solve(_ problem: BlockProblem) throws -> BlockSolution {
    if problem.carried.isEmpty { return try solveNetwork(problem) }
    var solution = BlockSolution(layers: [:], iterations: iterations)
    let inputs = try InputCalibration.quantizers(for: problem)
    for linear in problem.block.linears {
      guard let scheme = problem.schemes[linear.name]?.weights else { continue }
      guard let codes = problem.carried[linear.name] else {
        throw MethodError(
          "discquant: the run holds no codes for \(linear.name); start again with --overwrite")
      }
      let weights = linear.weight.dense()
      let grid = CodeGrid(
        try scheme.grids(for: weights), format: scheme.format, shape: weights.shape)
      solution.layers[linear.name] = LayerSolution(
        weight: try grid.quantized(codes), inputs: inputs[linear.name])
    }
    return solution
  }

  private func solveNetwork(_ problem: BlockProblem) throws -> BlockSolution {
    let training = try DiscQuantTraining(self, problem)
    let codes = try training.run()
    var solution = try solve(problem.carrying(codes))
    let own = Set(problem.schemes.keys)
    solution.carried = codes.filter { !own.contains($0.key) }
    training.report(in: &solution)
    return solution
  }
}

extension BlockProblem {
  fileprivate func carrying(_ tensors: [String: Tensor]) -> BlockProblem {
    var copy = self
    copy.carried = tensors
    return copy
  }
}
