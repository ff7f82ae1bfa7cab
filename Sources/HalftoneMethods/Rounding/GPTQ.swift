import HalftoneLayers
public import HalftoneSchemes
import HalftoneTensor

/// Rounds a weight matrix column by column, moving each column's rounding error onto the columns not
/// yet rounded.
///
/// Frantar, Ashkboos, Hoefler, Alistarh. *GPTQ: Accurate Post-Training Quantization for Generative
/// Pre-trained Transformers.* ICLR 2023. <https://arxiv.org/abs/2210.17323>, Algorithm 1.
///
/// | Paper              | Code       | Shape                         |
/// | ------------------ | ---------- | ----------------------------- |
/// | W                  | `w`        | [rows, columns]               |
/// | H = 2·X·Xᵀ         | `hessian`  | [columns, columns], mean over tokens |
/// | λ / mean(diag H)   | `damping`  |                               |
/// | H⁻¹ after "Step 3" | `upper`    | upper, (H + λI)⁻¹ = UᵀU       |
/// | E                  | `errors`   | [rows, block]                 |
/// | B                  | `blockSize`|                               |
///
/// `asymmetric` has the idea of Li et al. *GPTAQ*, ICML 2025, <https://arxiv.org/abs/2504.02692>: the
/// layer is to reproduce W·X₀ of the original network from the quantized network's X. The whole
/// least-squares solution is taken before the first column is rounded, where GPTAQ takes each column's
/// share as it comes: with C = 2·X₀·Xᵀ,
/// W̃ = W + W·(C − H)·(H + λI)⁻¹ has the least ‖W·X₀ − W̃·X‖² + λ‖W̃ − W‖²; then W̃ is rounded.
///
/// Where this differs from the authors' code: the grid comes from the scheme's range rule (min-MSE
/// unless asked otherwise); columns in order of activation use groups fixed beforehand, so that files
/// need no index; a Hessian that cannot be factored gets ten times the damping, up to three times,
/// and the report says so.
public struct GPTQ: LayerSolver, Equatable {
  public static let name = "gptq"
  public static let summary =
    "Column by column, with the error of each moved onto the columns still to come."
  public static let citation =
    "Frantar, Ashkboos, Hoefler, Alistarh. GPTQ: Accurate Post-Training Quantization for Generative "
    + "Pre-trained Transformers. ICLR 2023. https://arxiv.org/abs/2210.17323"

  /// The term added to the Hessian's diagonal, relative to its mean.
  public var damping: Float = 0.01
  /// Whether ``dampingFactors`` times `damping` are tried and that of the least error is kept.
  public var dampingSearch = false
  /// Whether columns are taken by falling diagonal of the Hessian.
  public var actOrder = true
  /// Whether the grids of groups come from the original weights, not from those updated so far.
  public var staticGroups = true
  /// Whether the targets are the outputs of the original network.
  public var asymmetric = false
  /// Whether layers see the earlier layers of their block quantized.
  public var trueSequential = true
  /// Columns rounded before the columns to their right are updated; the result does not depend on it
  /// but for rounding.
  public var blockSize = 128

  enum CodingKeys: String, CodingKey {
    case damping
    case dampingSearch = "damping-search"
    case actOrder = "act-order"
    case staticGroups = "static-groups"
    case asymmetric
    case trueSequential = "true-sequential"
    case blockSize = "block-size"
  }

  /// What a search tries, as multiples of `damping`; ascending.
  public static let dampingFactors: [Float] = [0.01, 0.1, 0.3, 1, 3, 10]

  public init() {}

  public var isSequential: Bool { trueSequential }
  public var needsOriginalInputs: Bool { asymmetric }

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    guard damping >= 0, damping.isFinite else {
      throw SchemeError("gptq: damping is \(damping); use a number from 0, such as 0.01")
    }
    guard !dampingSearch || damping > 0 else {
      throw SchemeError("gptq: damping-search tries multiples of damping, which is 0; use 0.01")
    }
    guard blockSize > 0 else {
      throw SchemeError("gptq: block-size is \(blockSize); use a positive number, such as 128")
    }
    if let scales = scheme.weights?.scales, scales.isJoint, !staticGroups {
      throw SchemeError(
        "gptq: scales: \(scales.rawValue) are found for several groups at once; use "
          + "static-groups: true")
    }
    if case .group = scheme.weights?.granularity, actOrder, !staticGroups {
      throw SchemeError(
        "gptq: act-order without static-groups needs an index of columns, which files do not have; "
          + "use static-groups: true, or act-order: false")
    }
  }

  public func solve(_ problem: LayerProblem) throws -> LayerSolution {
    try problem.checkFinite(Self.name)
    var warnings: [String] = []
    let dead = problem.deadColumns
    if !dead.isEmpty {
      warnings.append("\(dead.count) input channels are always zero; their weights became 0")
    }
    let layer = GPTQLayer(
      problem, dead: dead, grids: try problem.scheme.grids(for: problem.weights))
    guard dampingSearch else {
      let weight = try solve(layer, damping, &warnings)
      return LayerSolution(weight: weight, warnings: warnings)
    }
    var best: (weight: QuantizedTensor, error: Double)?
    for factor in Self.dampingFactors {
      let isLast = factor == Self.dampingFactors.last
      // Too little damping to factor is a part of the search, but for the last one.
      let candidate =
        isLast && best == nil
        ? try solve(layer, damping * factor, &warnings) : try? attempt(layer, damping * factor)
      guard let candidate else { continue }
      let error = problem.rowErrors(of: candidate.dequantized()).reduce(0, +)
      if best.map({ error < $0.error }) ?? true { best = (candidate, error) }
    }
    guard let best else { throw MethodError("gptq: no damping gave a solution") }
    return LayerSolution(weight: best.weight, warnings: warnings)
  }

  /// One damping, raised if the Hessian cannot be factored with it.
  private func solve(
    _ layer: GPTQLayer, _ damping: Float, _ warnings: inout [String]
  ) throws -> QuantizedTensor {
    var relative = damping
    for _ in 0..<4 {
      do {
        return try attempt(layer, relative)
      } catch let error as FactorizationError {
        relative = max(relative * 10, 1e-4)
        warnings.append("\(error); damping raised to \(relative)")
      }
    }
    throw MethodError(
      "gptq: the Hessian cannot be factored even with damping \(relative); "
        + "the activations may be degenerate: use more calibration text, or rtn for this layer")
  }

  private func attempt(_ layer: GPTQLayer, _ damping: Float) throws -> QuantizedTensor {
    let damped = layer.hessian.addingToDiagonal(Double(damping) * layer.hessian.diagonalMean)
    let order = columnOrder(layer.hessian)
    let upper = try damped.permuted(order).upperFactorOfInverse()
    var run = GPTQRun(
      weights: try layer.weights(damped), scheme: layer.problem.scheme, order: order, upper: upper,
      regroups: !staticGroups, grids: layer.grids)
    run.solve(blockSize: blockSize)
    return try run.quantized()
  }

  /// Falling diagonal, ties by position; or the columns as they are.
  private func columnOrder(_ hessian: SquareMatrix) -> [Int] {
    let columns = Array(0..<hessian.size)
    guard actOrder else { return columns }
    let diagonal = columns.map { hessian[$0, $0] }
    return columns.sorted { diagonal[$0] != diagonal[$1] ? diagonal[$0] > diagonal[$1] : $0 < $1 }
  }
}

/// What one layer's attempts share.
private struct GPTQLayer {
  let problem: LayerProblem
  let dead: [Int]
  /// With 1 on the diagonal where an input channel is always zero.
  let hessian: SquareMatrix
  let grids: GridTable
  /// W·(C − H) with cross moments.
  private let asymmetry: [Double]?

  init(_ problem: LayerProblem, dead: [Int], grids: GridTable) {
    var hessian = problem.hessian
    for j in dead { hessian[j, j] = 1 }
    (self.problem, self.dead, self.hessian, self.grids) = (problem, dead, hessian, grids)
    asymmetry = problem.asymmetry
  }

  /// What is rounded: W, or W̃ where there are cross moments; 0 in dead columns.
  func weights(_ damped: SquareMatrix) throws -> Tensor {
    var weights = problem.weights
    if let asymmetry {
      let shift = try damped.positiveDefiniteInverse().applied(to: asymmetry)
      weights = Tensor(
        zip(weights.values, shift).map { Float(Double($0) + $1) }, shape: weights.shape)
    }
    return dead.isEmpty ? weights : weights.zeroing(columns: dead)
  }
}
