import HalftoneLayers
public import HalftoneSchemes
import HalftoneTensor

/// Finds the scales of groups, and the whole multiples of a row's float that they become, by the outputs.
///
/// Zhang et al. *Dual Grained Quantization: Efficient Fine-Grained Quantization for LLM.* 2023.
/// <https://arxiv.org/abs/2310.04836>; numbers as in the authors' code.
///
/// | Paper, code | Here                                   | Shape           |
/// | ----------- | -------------------------------------- | --------------- |
/// | s′, z       | the grids of the first phase           | [out, groups]   |
/// | s1          | `rowUnits`                             | [out]           |
/// | k           | scales/`rowUnits`, from 1, whole       | [out, groups]   |
/// | X           | in `hessian`, H = (2/N)·XᵀX            | [in, in]        |
///
/// First phase, for each row and group: of the range that the range rule finds, and of 20 ranges r·[min w, max w],
/// r from 1.009 to 0.80, the one with the least (w − ŵ)·H_gg·(w − ŵ)ᵀ, which is the error of the outputs that this group's inputs make. Second
/// phase, for each row: of 80 units r·max_g s′_g/m_g, r from 1.01 to 0.20, the one with the least
/// (W − Ŵ)·H·(W − Ŵ)ᵀ, k_g = clamp(round(s′_g/s1), 1, m_g). Then weights go to the nearest value.
///
/// Where this differs from the authors' code: the codes all stay, and k is at most m = ⌊127/max |q − z|⌋,
/// where the code lets k go to 127 and takes away the codes whose k·(q − z) would not fit a byte. The units begin
/// where the largest k is m, which is that of the code (max |w|/127) up to the rounding of m. With scales: float the
/// first phase stands alone, on any format.
public struct DualGrained: LayerSolver, Equatable {
  public static let name = "dgq"
  public static let summary =
    "Searches the scales of groups, and their whole multiples of a scale a row, for the least output error."
  public static let citation =
    "Zhang et al. Dual Grained Quantization: Efficient Fine-Grained Quantization for LLM. 2023. "
    + "https://arxiv.org/abs/2310.04836"

  /// Ranges that the first phase tries.
  public var groupCandidates = 20
  /// Units that the second phase tries.
  public var rowCandidates = 80

  public init() {}

  public var isSequential: Bool { false }

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    guard (1...1000).contains(groupCandidates), (1...1000).contains(rowCandidates) else {
      throw SchemeError("dgq: group-candidates and row-candidates must be from 1 to 1000")
    }
    guard let weights = scheme.weights, weights.scales != .float else { return }
    guard weights.scales == .rowIntegers else {
      throw SchemeError(
        "dgq: does not search scales: \(weights.scales.rawValue); use int-row or float")
    }
    guard case .group(let size) = weights.granularity, size < columns, rows > 1 else {
      throw SchemeError("dgq: scales: int-row needs several rows, and groups smaller than a row")
    }
  }

  public func solve(_ problem: LayerProblem) throws -> LayerSolution {
    try problem.checkFinite(Self.name)
    var table = try groupGrids(problem)
    if problem.scheme.scales == .rowIntegers { table = try rowGrids(problem, table) }
    return LayerSolution(
      weight: try table.quantize(problem.weights, format: problem.scheme.format))
  }

  /// The first phase.
  private func groupGrids(_ problem: LayerProblem) throws -> GridTable {
    var scheme = problem.scheme
    scheme.scales = .float
    var table = try scheme.grids(for: problem.weights)
    let search = GroupSearch(problem.weights, scheme.family(for: problem.weights), table)
    var (scales, zeros) = (table.scales.values, table.zeros.values)
    for group in 0..<table.groups {
      let hessian = problem.hessian.diagonalBlock(search.columns(of: group))
      // Where none of the ranges is better, the range rule's stays.
      let own = (0..<search.cells).map { table.grid(row: $0, group: group) }
      var best = search.errors(of: group, own, hessian)
      for step in 1...groupCandidates {
        let share = 1.02 - 0.22 * Float(step) / Float(groupCandidates)
        let grids = search.grids(of: group, share)
        for (cell, error) in search.errors(of: group, grids, hessian).enumerated()
        where error < best[cell] {
          best[cell] = error
          scales[cell * table.groups + group] = grids[cell].scale
          zeros[cell * table.groups + group] = grids[cell].zero
        }
      }
    }
    table.scales = Tensor(scales, shape: table.scales.shape)
    table.zeros = Tensor(zeros, shape: table.zeros.shape)
    return table
  }

  /// The second phase.
  private func rowGrids(_ problem: LayerProblem, _ table: GridTable) throws -> GridTable {
    let (rows, groups, scales) = (problem.weights.rows, table.groups, table.scales.values)
    let most = (0..<rows * groups).map {
      table.grid(row: $0 / groups, group: $0 % groups).largestMultiple
    }
    let used = table.usedGroups(of: problem.weights)
    let largest = (0..<rows).map { row in
      (row * groups..<(row + 1) * groups).reduce(Float(0)) {
        used[$1] ? max($0, scales[$1] / most[$1]) : $0
      }
    }
    var best = [Double](repeating: .infinity, count: rows)
    var (units, chosen) = ([Float](repeating: 1, count: rows), scales.map { _ in Float(1) })
    for step in 1...rowCandidates {
      let share = 1.02 - 0.82 * Float(step) / Float(rowCandidates)
      let candidates = largest.map { $0 > 0 && ($0 * share).isNormal ? $0 * share : 1 }
      let multiples = scales.indices.map { at in
        min(max(1, (scales[at] / candidates[at / groups]).rounded(.toNearestOrEven)), most[at])
      }
      var candidate = table
      candidate.scales = Tensor(
        multiples.indices.map { multiples[$0] * candidates[$0 / groups] },
        shape: table.scales.shape)
      let rounded = try candidate.quantize(problem.weights, format: problem.scheme.format)
      let own = candidate.scales.values
      for (row, error) in problem.rowErrors(of: rounded.dequantized()).enumerated()
      where error < best[row] {
        (best[row], units[row]) = (error, candidates[row])
        for at in row * groups..<(row + 1) * groups { chosen[at] = own[at] }
      }
    }
    var result = table
    result.scales = Tensor(chosen, shape: table.scales.shape)
    result.rowUnits = Tensor(units, shape: [rows, 1])
    return result
  }
}

/// The ranges of one group at a time, and what they lose.
private struct GroupSearch {
  let weights: Tensor
  let family: GridFamily
  let table: GridTable

  init(_ weights: Tensor, _ family: GridFamily, _ table: GridTable) {
    (self.weights, self.family, self.table) = (weights, family, table)
  }

  /// Rows of the table: 1 where all rows of the matrix share it.
  var cells: Int { table.scales.shape[0] }
  private var width: Int { weights.columns / table.groups }

  func columns(of group: Int) -> Range<Int> { group * width..<(group + 1) * width }

  /// One grid for each cell, over `share` of its range.
  func grids(of group: Int, _ share: Float) -> [ScaledGrid] {
    var ranges = [(Float, Float)](repeating: (.infinity, -.infinity), count: cells)
    forEachRun(of: group) { row, run in
      let range = Kernels.extrema(run)
      let cell = min(row, cells - 1)
      ranges[cell] = (min(ranges[cell].0, range.minimum), max(ranges[cell].1, range.maximum))
    }
    return ranges.map { family.covering($0.0 * share, $0.1 * share) }
  }

  /// (w − ŵ)·H·(w − ŵ)ᵀ of the columns of `group`, summed over the rows of each cell.
  func errors(of group: Int, _ grids: [ScaledGrid], _ hessian: SquareMatrix) -> [Double] {
    var differences: [Double] = []
    differences.reserveCapacity(weights.rows * width)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { rounded in
      forEachRun(of: group) { row, run in
        Kernels.roundTrip(run, grids[min(row, cells - 1)], rounded)
        for i in run.indices { differences.append(Double(run[i]) - Double(rounded[i])) }
      }
    }
    let errors = hessian.quadraticForms(of: differences)
    return cells == errors.count ? errors : [errors.reduce(0, +)]
  }

  private func forEachRun(
    of group: Int, _ body: (_ row: Int, _ run: UnsafeBufferPointer<Float>) -> Void
  ) {
    weights.withElements { w in
      for row in 0..<weights.rows {
        let start = row * weights.columns + group * width
        body(row, UnsafeBufferPointer(rebasing: w[start..<start + width]))
      }
    }
  }
}

extension SquareMatrix {
  /// The part of `range` on the diagonal.
  fileprivate func diagonalBlock(_ range: Range<Int>) -> SquareMatrix {
    var block = SquareMatrix(zeros: range.count)
    for (i, row) in range.enumerated() {
      for (j, column) in range.enumerated() { block[i, j] = self[row, column] }
    }
    return block
  }
}
