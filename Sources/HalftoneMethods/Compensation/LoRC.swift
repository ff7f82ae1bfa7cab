public import HalftoneSchemes
import HalftoneTensor

/// Keeps the largest part of the rounding error as a product of two thin matrices beside the codes.
///
/// Yao et al. *ZeroQuant-V2: Exploring Post-training Quantization in LLMs from Comprehensive Study to
/// Low Rank Compensation.* 2023. <https://arxiv.org/abs/2303.08302>
///
/// | Symbol    | Code              | Shape          |
/// | --------- | ----------------- | -------------- |
/// | E = W − Ŵ | `error`           | [out, in]      |
/// | U, Σ, V   | `svd`             | [out, m], [m], [in, m] |
/// | A, B      | `left`, `right`   | [out, m], [m, in] |
/// | s         | `importance`      | [in]           |
///
/// E ≈ U·Σ·Vᵀ with the m largest singular values; A = U·Σ^½ and B = Σ^½·Vᵀ, and the layer computes
/// Ŵ·x + A·(B·x).
///
/// Where this differs from the paper: with `activation-aware`, E·diag(s) is taken apart instead of E,
/// s_j the root mean square of input j, and B is divided by s again: what is kept is then what matters
/// most to the outputs. The factors are stored as halves.
public struct LoRC: Compensator {
  public static let name = "lorc"
  public static let summary =
    "Adds the largest part of the rounding error back as a product of two thin matrices."
  public static let citation =
    "Yao et al. ZeroQuant-V2: Exploring Post-training Quantization in LLMs from Comprehensive "
    + "Study to Low Rank Compensation. 2023. https://arxiv.org/abs/2303.08302"

  /// m: columns of A and rows of B.
  public var rank = 8
  /// Whether inputs that are large count for more.
  public var activationAware = false

  public init() {}

  public var inputsNeeded: InputKnowledge { activationAware ? .quantized : [] }

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    guard rank > 0 else { throw SchemeError("lorc: rank is \(rank); use at least 1") }
    let largest = min(rows, columns)
    guard rank <= largest else {
      throw SchemeError(
        "lorc: rank \(rank) is larger than the rank of a matrix [\(rows), \(columns)]; "
          + "use 1 to \(largest)")
    }
  }

  /// Two factors of halves.
  public func extraBytes(_ scheme: LayerScheme, rows: Int, columns: Int) -> Int {
    2 * rank * (rows + columns)
  }

  public func compensate(_ problem: CompensationProblem) throws -> Compensation {
    let (out, columns) = (problem.weights.rows, problem.weights.columns)
    let importance = try importance(problem)
    let difference = (problem.weights - problem.quantizedWeights).values
    let error = difference.indices.map { i in
      Double(difference[i]) * (importance?[i % columns] ?? 1)  // E·diag(s)
    }
    let svd = try LeadingSingularVectors(of: error, rows: out, columns: columns, count: rank)
    let roots = svd.values.map { $0.squareRoot() }
    let left = (0..<out * rank).map { i in
      Float(svd.left[i % rank][i / rank] * roots[i % rank])  // A = U·Σ^½
    }
    let right = (0..<rank * columns).map { i in
      let (k, j) = (i / columns, i % columns)
      let s = importance?[j] ?? 1
      return s > 0 ? Float(roots[k] * svd.right[k][j] / s) : 0  // B = Σ^½·Vᵀ·diag(1/s)
    }
    return Compensation(lowRank: try halves(left, right, [out, columns], problem.name))
  }

  /// s, relative to its mean; 0 for inputs that are always zero, which need no compensation.
  private func importance(_ problem: CompensationProblem) throws -> [Double]? {
    guard activationAware else { return nil }
    guard let squares = problem.quantizedInputs?.meanSquare else {
      throw MethodError("\(problem.name): lorc needs the inputs' sizes: give --calibration FILE")
    }
    let roots = squares.map { $0.squareRoot() }
    let mean = roots.reduce(0, +) / Double(max(1, roots.count))
    guard mean.isFinite else {
      throw MethodError("\(problem.name): an input is not a number; check the calibration text")
    }
    return mean > 0 ? roots.map { $0 / mean } : nil
  }

  private func halves(
    _ left: [Float], _ right: [Float], _ shape: [Int], _ name: String
  ) throws -> LowRankFactors {
    let factors = try LowRankFactors(
      left: Tensor(left, shape: [shape[0], rank]).converted(to: .float16),
      right: Tensor(right, shape: [rank, shape[1]]).converted(to: .float16))
    let fit = [factors.left, factors.right].allSatisfy { factor in
      factor.float().withElements { $0.allSatisfy(\.isFinite) }
    }
    guard fit else {
      throw MethodError(
        "\(name): low-rank factors beyond 65504, which halves cannot hold; "
          + "set activation-aware: false, or leave the layer out")
    }
    return factors
  }
}
