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
  /// Whether columns are taken by falling diagonal of the Hessian.
  public var actOrder = true
  /// Whether layers see the earlier layers of their block quantized.
  public var trueSequential = true
  /// Columns rounded before the columns to their right are updated; the result does not depend on it
  /// but for rounding.
  public var blockSize = 128

  enum CodingKeys: String, CodingKey {
    case damping
    case actOrder = "act-order"
    case trueSequential = "true-sequential"
    case blockSize = "block-size"
  }

  public init() {}

  public var isSequential: Bool { trueSequential }

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    guard damping >= 0, damping.isFinite else {
      throw SchemeError("gptq: damping is \(damping); use a number from 0, such as 0.01")
    }
    guard blockSize > 0 else {
      throw SchemeError("gptq: block-size is \(blockSize); use a positive number, such as 128")
    }
  }

  public func solve(_ problem: LayerProblem) throws -> LayerSolution {
    var hessian = problem.hessian
    var warnings: [String] = []
    let dead = (0..<hessian.size).filter { hessian[$0, $0] == 0 }
    for j in dead { hessian[j, j] = 1 }
    if !dead.isEmpty {
      warnings.append("\(dead.count) input channels are always zero; their weights became 0")
    }
    let order = columnOrder(hessian)
    let upper = try factor(hessian.permuted(order), &warnings)
    let weights = dead.isEmpty ? problem.weights : problem.weights.zeroing(columns: dead)
    var run = GPTQRun(
      weights: weights, scheme: problem.scheme, order: order, upper: upper,
      regroups: !actOrder, grids: try problem.scheme.grids(for: problem.weights))
    run.solve(blockSize: blockSize)
    return LayerSolution(weight: try run.quantized(), warnings: warnings)
  }

  /// Falling diagonal, ties by position; or the columns as they are.
  private func columnOrder(_ hessian: SquareMatrix) -> [Int] {
    let columns = Array(0..<hessian.size)
    guard actOrder else { return columns }
    return columns.sorted {
      let (a, b) = (hessian[$0, $0], hessian[$1, $1])
      return a != b ? a > b : $0 < $1
    }
  }

  private func factor(_ hessian: SquareMatrix, _ warnings: inout [String]) throws -> SquareMatrix {
    var relative = Double(damping)
    for _ in 0..<4 {
      do {
        return try hessian.addingToDiagonal(relative * hessian.diagonalMean).upperFactorOfInverse()
      } catch {
        relative = max(relative * 10, 1e-4)
        warnings.append("\(error); damping raised to \(relative)")
      }
    }
    throw MethodError(
      "gptq: the Hessian cannot be factored even with damping \(relative); "
        + "the activations may be degenerate: use more calibration text, or rtn for this layer")
  }
}

/// The state of one layer while it is solved: columns stand in the order in which they are rounded.
private struct GPTQRun {
  var w: [Float]
  var codes: [Int8]
  var scales: [Float]
  var zeros: [Float]
  let rows: Int
  let columns: Int
  let groups: Int
  let tableRows: Int
  let scheme: WeightScheme
  let order: [Int]
  let upper: [Float]
  /// Whether a group's grid is found from the updated weights when its first column is reached.
  let regroups: Bool

  init(
    weights: Tensor, scheme: WeightScheme, order: [Int], upper: SquareMatrix, regroups: Bool,
    grids: GridTable
  ) {
    (rows, columns) = (weights.rows, weights.columns)
    (tableRows, groups) = (grids.scales.shape[0], grids.groups)
    self.scheme = scheme
    self.order = order
    self.upper = upper.elements.map(Float.init)
    self.regroups = regroups && grids.groups > 1
    (scales, zeros) = (grids.scales.values, grids.zeros.values)
    codes = [Int8](repeating: 0, count: rows * columns)
    w = [Float](repeating: 0, count: rows * columns)
    let (n, source) = (columns, weights.values)
    for i in 0..<rows { for j in 0..<n { w[i * n + j] = source[i * n + order[j]] } }
  }

  mutating func solve(blockSize: Int) {
    let width = columns / groups
    // Blocks end where groups do, so that a group's grid sees every earlier column's error.
    let block = regroups ? max(1, blockSize / width) * width : blockSize
    for start in stride(from: 0, to: columns, by: block) {
      solve(start..<min(start + block, columns))
    }
  }

  private mutating func solve(_ block: Range<Int>) {
    let (n, width, run) = (columns, columns / groups, self)
    var errors = [Float](repeating: 0, count: rows * block.count)
    w.withUnsafeMutableBufferPointer { w in
      codes.withUnsafeMutableBufferPointer { codes in
        scales.withUnsafeMutableBufferPointer { scales in
          zeros.withUnsafeMutableBufferPointer { zeros in
            errors.withUnsafeMutableBufferPointer { errors in
              let rowWorker = GPTQRow(
                run: run, width: width, block: block, w: w, codes: codes, scales: scales,
                zeros: zeros, errors: errors)
              parallelRanges(run.rows, grain: 8) { for i in $0 { rowWorker.solve(i) } }
            }
          }
        }
      }
    }
    guard block.upperBound < n else { return }
    w.withUnsafeMutableBufferPointer { w in  // W −= E·U for the columns to the right
      MatrixProduct.accumulate(
        -1, errors, rows: rows, upper, rowStride: n, in: block, columns: block.upperBound..<n,
        into: w)
    }
  }

  func quantized() throws -> QuantizedTensor {
    let shape = [rows, columns]
    let stored = Tensor(shape: shape, elementType: .int8) { bytes in
      let out = bytes.bindMemory(to: Int8.self)
      for i in 0..<rows {
        for j in 0..<columns { out[i * columns + order[j]] = codes[i * columns + j] }
      }
    }
    let table = [tableRows, groups]
    return try QuantizedTensor(
      shape: shape, format: scheme.format, codes: stored, levels: [Tensor(scales, shape: table)],
      zeroPoints: zeros.contains { $0 != 0 } ? Tensor(zeros, shape: table) : nil)
  }
}

/// One row of a block: rows do not touch each other.
private struct GPTQRow {
  let run: GPTQRun
  let width: Int
  let block: Range<Int>
  let w: UnsafeMutableBufferPointer<Float>
  let codes: UnsafeMutableBufferPointer<Int8>
  let scales: UnsafeMutableBufferPointer<Float>
  let zeros: UnsafeMutableBufferPointer<Float>
  let errors: UnsafeMutableBufferPointer<Float>

  func solve(_ i: Int) {
    let n = run.columns
    run.upper.withUnsafeBufferPointer { upper in
      for j in block {
        let grid = grid(i, j)
        let x = w[i * n + j]
        let code = min(
          max((x / grid.scale).rounded(.toNearestOrEven) + grid.zero, grid.low), grid.high)
        codes[i * n + j] = Int8(code)
        let error = (x - (code - grid.zero) * grid.scale) / upper[j * n + j]
        errors[i * block.count + j - block.lowerBound] = error
        let rest = j + 1..<block.upperBound
        Kernels.axpy(
          -error,
          UnsafeBufferPointer(rebasing: upper[j * n + rest.lowerBound..<j * n + rest.upperBound]),
          UnsafeMutableBufferPointer(rebasing: w[i * n + rest.lowerBound..<i * n + rest.upperBound])
        )
      }
    }
  }

  private func grid(_ i: Int, _ j: Int) -> UniformGrid {
    let cell = (run.tableRows == 1 ? 0 : i) * run.groups + run.order[j] / width
    if run.regroups, j % width == 0 {
      let values = UnsafeBufferPointer(
        rebasing: w[i * run.columns + j..<i * run.columns + j + width])
      let fresh = run.scheme.range.search.grid(
        for: [values], bits: run.scheme.format.bits, symmetric: run.scheme.symmetric)
      (scales[cell], zeros[cell]) = (fresh.scale, fresh.zero)
    }
    let format = run.scheme.format
    return UniformGrid(
      scale: scales[cell], zero: zeros[cell], low: Float(format.low), high: Float(format.high))
  }
}
