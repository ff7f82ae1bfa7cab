import HalftoneLayers
public import HalftoneSchemes
import HalftoneTensor

/// Visits the columns of a weight matrix again and again, and gives each weight the grid's nearest
/// point to what is best with all others as they are.
///
/// Behdin, Acharya, Gupta, Song, Zhu, Keerthi, Mazumder. *QuantEase: Optimization-based Quantization
/// for Language Models.* 2023. <https://arxiv.org/abs/2309.01885>: cyclic coordinate descent, relaxed
/// sweeps, the start from GPTQ, and the outlier-aware variant.
///
/// | Paper             | Code         | Shape                              |
/// | ----------------- | ------------ | ---------------------------------- |
/// | W                 | `weights`    | [rows, columns]                    |
/// | Ŵ, or Ŵ + H       | `values`     | [rows, columns]                    |
/// | Σ = X·Xᵀ          | `sigma`      | [columns, columns], (2/N) times it |
/// | (Ŵ − W)·Σ         | `gradient`   | [rows, columns], half of it        |
/// | β                 | `best`       | one element                        |
/// | K                 | `sweeps`     |                                    |
/// | s                 | `outliers`   | as a fraction of all elements      |
/// | support of H      | `free`       | [rows, columns]                    |
///
/// Where this differs from the paper and the authors' code: inside a block of columns the gradient is
/// updated row by row, and to the right of it by one product, which is the same sum in another order;
/// it is recomputed at each sweep. Of all rounded iterates each row keeps the one of least error.
/// Relaxed values stay within the grid's range. Outliers are coordinates of the sweeps that are not
/// rounded, instead of moving by gradient steps alone. The released code's outlier-aware file never
/// rounds; this is written from the equations.
public struct QuantEase: LayerSolver, Equatable {
  public static let name = "quantease"
  public static let summary =
    "Visits the columns again and again, each time rounding to what is best with the others as they "
    + "are; can keep a few outliers unrounded."
  public static let citation =
    "Behdin, Acharya, Gupta, Song, Zhu, Keerthi, Mazumder. QuantEase: Optimization-based Quantization "
    + "for Language Models. 2023. https://arxiv.org/abs/2309.01885"

  /// What the first sweep starts from.
  public enum Start: String, RecipeWord {
    /// The weights as they are, not rounded.
    case weights
    /// The weights rounded to nearest.
    case rtn
    /// GPTQ's solution with its defaults.
    case gptq
  }

  public var start = Start.gptq
  /// How often each column is visited.
  public var sweeps = 30
  /// Whether every third sweep leaves its values unrounded.
  public var relaxed = true
  /// The fraction of elements kept unrounded, chosen by iterative hard thresholding; 0 for none.
  public var outliers: Float = 0
  /// Added to Σ_jj where it divides, relative to the mean of the diagonal.
  public var damping: Float = 1e-4
  /// Whether the targets are the outputs of the original network.
  public var asymmetric = false
  /// Whether layers see the earlier layers of their block quantized.
  public var trueSequential = true

  enum CodingKeys: String, CodingKey {
    case start, sweeps, relaxed, outliers, damping, asymmetric
    case trueSequential = "true-sequential"
  }

  public init() {}

  public var isSequential: Bool { trueSequential }
  public var needsOriginalInputs: Bool { asymmetric }

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    guard sweeps > 0 else {
      throw SchemeError("quantease: sweeps is \(sweeps); use at least 1, such as 30")
    }
    guard damping >= 0, damping.isFinite else {
      throw SchemeError("quantease: damping is \(damping); use a number from 0, such as 1e-4")
    }
    guard outliers >= 0, outliers < 0.5 else {
      throw SchemeError("quantease: outliers is \(outliers); use a fraction from 0, such as 0.01")
    }
  }

  /// A position and a value for each outlier.
  public func extraBytes(_ scheme: LayerScheme, rows: Int, columns: Int) -> Int {
    8 * outlierCount(of: rows * columns)
  }

  private func outlierCount(of elements: Int) -> Int {
    Int((Double(outliers) * Double(elements)).rounded())
  }

  public func solve(_ problem: LayerProblem) throws -> LayerSolution {
    try problem.checkFinite(Self.name)
    let count = outlierCount(of: problem.weights.count)
    var warnings: [String] = []
    let dead = problem.deadColumns
    if !dead.isEmpty {
      warnings.append(
        "\(dead.count) input channels are always zero; their weights are rounded to nearest")
    }
    let weight =
      count > 0
      ? try solveKeeping(count, of: problem, &warnings) : try solveRounding(problem, &warnings)
    return LayerSolution(weight: weight, warnings: warnings)
  }

  /// Whether sweep `k` is relaxed: every third one, but not the last, nor any after the 26th.
  func isRelaxed(_ k: Int) -> Bool { relaxed && k % 3 == 1 && k != sweeps - 1 && k <= 25 }

  // MARK: - Without outliers

  private func solveRounding(
    _ problem: LayerProblem, _ warnings: inout [String]
  ) throws -> QuantizedTensor {
    let (values, grids) = try startingPoint(problem, &warnings)
    var descent = ColumnDescent(
      problem, grids: grids, values: values, isRounded: start != .weights, damping: damping)
    descent.solve(sweeps: (0..<sweeps).map(isRelaxed))
    var found = descent.best
    if start != .weights {
      // The errors above are sums of floats; the promise to be no worse than the start is kept in
      // double precision.
      let (before, after) = (problem.rowErrors(of: values), problem.rowErrors(of: found))
      let columns = problem.weights.columns
      let (old, new) = (values.values, found.values)
      found = Tensor(
        old.indices.map { after[$0 / columns] <= before[$0 / columns] ? new[$0] : old[$0] },
        shape: found.shape)
    }
    return try grids.quantize(found, format: problem.scheme.format)
  }

  /// Ŵ before the first sweep, and the grids, which stay as they are.
  private func startingPoint(
    _ problem: LayerProblem, _ warnings: inout [String]
  ) throws -> (values: Tensor, grids: GridTable) {
    let (scheme, weights) = (problem.scheme, problem.weights)
    let plain = try scheme.grids(for: weights)
    guard start != .weights else { return (weights, plain) }
    let nearest = try plain.quantize(weights, format: scheme.format)
    guard start == .gptq else { return (nearest.dequantized(), plain) }
    var gptq = GPTQ()
    gptq.asymmetric = asymmetric
    let solution: LayerSolution
    do {
      solution = try gptq.solve(problem)
    } catch let error as MethodError {
      // Coordinate descent needs no inverse.
      warnings.append("\(error); started from rounding to nearest")
      return (nearest.dequantized(), plain)
    }
    warnings += solution.warnings.filter { !$0.contains("always zero") }
    guard let grids = solution.weight.gridTable else {
      throw MethodError("quantease: gptq gave \(problem.name) no uniform grid")
    }
    return (solution.weight.dequantized().taking(problem.deadColumns, from: nearest), grids)
  }

  // MARK: - With outliers

  /// min ‖(W − Ŵ − H)·X‖² with `count` non-zero elements of H, sweeps and thresholds in turn.
  private func solveKeeping(
    _ count: Int, of problem: LayerProblem, _ warnings: inout [String]
  ) throws -> QuantizedTensor {
    let weights = problem.weights.values
    var free = LargestElements.mark(count, of: weights.map(abs))
    // The grid need not reach the outliers: 0, which takes their place, is on every grid.
    let rest = LayerProblem(
      name: problem.name,
      weights: Tensor(zip(weights, free).map { $1 ? 0 : $0 }, shape: problem.weights.shape),
      scheme: problem.scheme, hessian: problem.hessian, crossMoments: problem.crossMoments)
    var (values, grids) = try startingPoint(rest, &warnings)
    values = Tensor(
      weights.indices.map { free[$0] ? weights[$0] : values.values[$0] }, shape: values.shape)
    var descent = ColumnDescent(
      problem, grids: grids, values: values, isRounded: start != .weights, damping: damping)
    descent.setFree(free)
    let largest = problem.hessian.largestEigenvalue() * 1.05  // estimated from below
    let rate = largest > 0 ? Float(1 / largest) : 0  // η = 1/L of the gradient (H + Ŵ − W)·Σ
    var best: (error: Double, values: Tensor, free: [Bool])?
    for k in 0..<sweeps {
      let (isLast, isRelaxed) = (k == sweeps - 1, isRelaxed(k))
      descent.sweep(rounding: !isRelaxed)
      if !isRelaxed {
        let found = Tensor(descent.values, shape: values.shape)
        let error = problem.rowErrors(of: found).reduce(0, +)
        if best.map({ error < $0.error }) ?? true { best = (error, found, free) }
      }
      if !isLast { free = descent.threshold(count, rate: rate) }
    }
    guard let best else { throw MethodError("quantease: no sweep rounded \(problem.name)") }
    let codes = try grids.quantize(best.values, format: problem.scheme.format)
    let positions = best.free.indices.filter { best.free[$0] }
    let elements = best.values.values
    return try QuantizedTensor(
      shape: codes.shape, format: codes.format, codes: codes.codes, levels: codes.levels,
      zeroPoints: codes.zeroPoints,
      outliers: OutlierSet(positions: positions, values: positions.map { elements[$0] }),
      nested: codes.nested)
  }
}

extension Tensor {
  /// Self with the columns `chosen` of `other`.
  fileprivate func taking(_ chosen: [Int], from other: QuantizedTensor) -> Tensor {
    guard !chosen.isEmpty else { return self }
    var result = values
    let source = other.dequantized().values
    for i in 0..<rows { for j in chosen { result[i * columns + j] = source[i * columns + j] } }
    return Tensor(result, shape: shape)
  }
}
