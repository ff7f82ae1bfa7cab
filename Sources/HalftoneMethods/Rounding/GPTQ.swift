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

/// What does not change while a layer is solved; columns stand in the order in which they are rounded.
private struct GPTQLayout {
  let rows: Int
  let columns: Int
  let groups: Int
  let tableRows: Int
  let scheme: WeightScheme
  let order: [Int]
  let upper: [Float]
  /// Whether a group's grid is found from the updated weights when its first column is reached.
  let regroups: Bool

  /// Columns that share a grid.
  var width: Int { columns / groups }
}

/// The state of one layer while it is solved.
private struct GPTQRun {
  private let layout: GPTQLayout
  private var w: [Float]
  private var codes: [Int8]
  private var scales: [Float]
  private var zeros: [Float]

  init(
    weights: Tensor, scheme: WeightScheme, order: [Int], upper: SquareMatrix, regroups: Bool,
    grids: GridTable
  ) {
    let (rows, n) = (weights.rows, weights.columns)
    layout = GPTQLayout(
      rows: rows, columns: n, groups: grids.groups, tableRows: grids.scales.shape[0],
      scheme: scheme, order: order, upper: upper.elements.map(Float.init),
      regroups: regroups && grids.groups > 1)
    (scales, zeros) = (grids.scales.values, grids.zeros.values)
    codes = [Int8](repeating: 0, count: rows * n)
    w = [Float](repeating: 0, count: rows * n)
    let source = weights.values
    for i in 0..<rows { for j in 0..<n { w[i * n + j] = source[i * n + order[j]] } }
  }

  mutating func solve(blockSize: Int) {
    let width = layout.width
    // Blocks end where groups do, so that a group's grid sees every earlier column's error.
    let block = layout.regroups ? max(1, blockSize / width) * width : blockSize
    for start in stride(from: 0, to: layout.columns, by: block) {
      solve(start..<min(start + block, layout.columns))
    }
  }

  private mutating func solve(_ block: Range<Int>) {
    let layout = layout
    var errors = [Float](repeating: 0, count: layout.rows * block.count)
    w.withUnsafeMutableBufferPointer { w in
      codes.withUnsafeMutableBufferPointer { codes in
        scales.withUnsafeMutableBufferPointer { scales in
          zeros.withUnsafeMutableBufferPointer { zeros in
            errors.withUnsafeMutableBufferPointer { errors in
              let row = GPTQRow(
                layout: layout, block: block, w: w, codes: codes, scales: scales, zeros: zeros,
                errors: errors)
              parallelRanges(layout.rows, grain: 8) { for i in $0 { row.solve(i) } }
            }
          }
        }
      }
    }
    guard block.upperBound < layout.columns else { return }
    w.withUnsafeMutableBufferPointer { w in  // W −= E·U for the columns to the right
      MatrixProduct.accumulate(
        -1, errors, rows: layout.rows, layout.upper, rowStride: layout.columns, in: block,
        columns: block.upperBound..<layout.columns, into: w)
    }
  }

  func quantized() throws -> QuantizedTensor {
    let (rows, columns) = (layout.rows, layout.columns)
    let stored = Tensor(shape: [rows, columns], elementType: .int8) { bytes in
      let out = bytes.bindMemory(to: Int8.self)
      for i in 0..<rows {
        for j in 0..<columns { out[i * columns + layout.order[j]] = codes[i * columns + j] }
      }
    }
    let table = [layout.tableRows, layout.groups]
    return try QuantizedTensor(
      shape: [rows, columns], format: layout.scheme.format, codes: stored,
      levels: [Tensor(scales, shape: table)],
      zeroPoints: zeros.contains { $0 != 0 } ? Tensor(zeros, shape: table) : nil)
  }
}

/// One row of a block: rows do not touch each other.
private struct GPTQRow {
  let layout: GPTQLayout
  let block: Range<Int>
  let w: UnsafeMutableBufferPointer<Float>
  let codes: UnsafeMutableBufferPointer<Int8>
  let scales: UnsafeMutableBufferPointer<Float>
  let zeros: UnsafeMutableBufferPointer<Float>
  let errors: UnsafeMutableBufferPointer<Float>

  func solve(_ i: Int) {
    let n = layout.columns
    layout.upper.withUnsafeBufferPointer { upper in
      for j in block {
        let grid = grid(i, j)
        let x = w[i * n + j]
        let rounded = (x / grid.scale).rounded(.toNearestOrEven) + grid.zero
        let code = min(max(rounded, grid.low), grid.high)
        codes[i * n + j] = Int8(code)
        let error = (x - (code - grid.zero) * grid.scale) / upper[j * n + j]
        errors[i * block.count + j - block.lowerBound] = error
        let (from, to) = (j + 1, block.upperBound)
        Kernels.axpy(
          -error, UnsafeBufferPointer(rebasing: upper[j * n + from..<j * n + to]),
          UnsafeMutableBufferPointer(rebasing: w[i * n + from..<i * n + to]))
      }
    }
  }

  private func grid(_ i: Int, _ j: Int) -> UniformGrid {
    let (scheme, width) = (layout.scheme, layout.width)
    let cell = (layout.tableRows == 1 ? 0 : i) * layout.groups + layout.order[j] / width
    if layout.regroups, j % width == 0 {
      let start = i * layout.columns + j
      let values = UnsafeBufferPointer(rebasing: w[start..<start + width])
      let fresh = scheme.range.search.grid(
        for: [values], bits: scheme.format.bits, symmetric: scheme.symmetric)
      (scales[cell], zeros[cell]) = (fresh.scale, fresh.zero)
    }
    return UniformGrid(
      scale: scales[cell], zero: zeros[cell], low: Float(scheme.format.low),
      high: Float(scheme.format.high))
  }
}
