import HalftoneSchemes
package import HalftoneTensor

/// Cyclic coordinate descent over the columns of a layer; rows do not touch each other, so that
/// tiles of rows go through all sweeps on their own.
package struct ColumnDescent {
  private let layout: DescentLayout
  private var tiles: [DescentTile]

  /// Starts from `values` [rows, columns], which are on the grids if `isRounded`; `damping` times the
  /// mean of Σ's diagonal is added to Σ_jj where it divides.
  package init(
    _ problem: LayerProblem, grids: GridTable, values: Tensor, isRounded: Bool, damping: Float
  ) {
    let layout = DescentLayout(problem, grids: grids, damping: damping)
    let (weights, start) = (problem.weights.values, values.values)
    let asymmetry = problem.asymmetry
    let (rows, columns) = (problem.weights.rows, layout.columns)
    // Two tiles at least, so that two cores share the work; heights depend on the shape alone.
    let height = max(16, min(256, (rows + 1) / 2))
    tiles = stride(from: 0, to: rows, by: height).map { first in
      let rows = first..<min(first + height, rows)
      let elements = rows.lowerBound * columns..<rows.upperBound * columns
      return DescentTile(
        weights: Array(weights[elements]), values: Array(start[elements]),
        asymmetry: asymmetry.map { $0[elements].map(Float.init) },
        grids: rows.flatMap { row in
          (0..<grids.groups).map { grids.grid(row: row, group: $0) }
        }, isRounded: isRounded)
    }
    self.layout = layout
  }

  /// Each row's rounded iterate of least error so far; the values themselves before the first.
  package var best: Tensor { layout.matrix(tiles.flatMap(\.best)) }

  /// [rows, columns], row-major.
  package var values: [Float] { tiles.flatMap(\.values) }

  /// Marks the elements that are never rounded.
  package mutating func setFree(_ free: [Bool]) {
    var rest = free[...]
    for i in tiles.indices {
      tiles[i].free = Array(rest.prefix(tiles[i].values.count))
      rest = rest.dropFirst(tiles[i].values.count)
    }
  }

  /// One sweep for each element of `sweeps`, which says whether it is relaxed.
  package mutating func solve(sweeps: [Bool]) {
    forEachTile { layout, tile in
      for (k, isRelaxed) in sweeps.enumerated() {
        let changed = tile.sweep(layout, rounding: !isRelaxed)
        // A rounded sweep that changes nothing would be repeated for ever.
        if !changed, !isRelaxed, !sweeps[k...].contains(true) { break }
      }
      tile.judge(layout)
    }
  }

  package mutating func sweep(rounding: Bool) {
    forEachTile { layout, tile in _ = tile.sweep(layout, rounding: rounding) }
  }

  /// H ← the `count` largest of H − η·(Ŵ + H − W)·Σ, where Ŵ + H are the values, Ŵ nearest to them;
  /// returns the new support.
  package mutating func threshold(_ count: Int, rate: Float) -> [Bool] {
    forEachTile { layout, tile in tile.step(layout, rate: rate) }
    let free = LargestElements.mark(count, of: tiles.flatMap(\.proposal).map(abs))
    setFree(free)
    forEachTile { _, tile in tile.accept() }
    return free
  }

  private mutating func forEachTile(_ body: (DescentLayout, inout DescentTile) -> Void) {
    let layout = layout
    tiles.withUnsafeMutableBufferPointer { tiles in
      nonisolated(unsafe) let tiles = tiles
      parallelFor(tiles.count) { body(layout, &tiles[$0]) }
    }
  }
}

/// What all rows of a layer share.
struct DescentLayout {
  let shape: [Int]
  let sigma: [Float]
  /// 1/(Σ_jj + damping·mean); 0 for a channel that is always zero, whose weights stay where they are.
  let steps: [Float]
  let groups: Int
  /// Columns handled between two updates of those to the right.
  let block = 128

  var columns: Int { shape[1] }
  /// Columns that share a grid.
  var width: Int { columns / groups }

  init(_ problem: LayerProblem, grids: GridTable, damping: Float) {
    let hessian = problem.hessian
    shape = problem.weights.shape
    sigma = hessian.elements.map(Float.init)
    let extra = Double(damping) * hessian.diagonalMean
    steps = (0..<hessian.size).map { j in
      hessian[j, j] > 0 ? Float(1 / (hessian[j, j] + extra)) : 0
    }
    groups = grids.groups
  }

  func matrix(_ values: [Float]) -> Tensor { Tensor(values, shape: shape) }
}

/// Some rows of a layer while they descend; all arrays are [rows, columns] but `grids`.
struct DescentTile {
  let weights: [Float]
  private(set) var values: [Float]
  /// W·(C − Σ): what asymmetric calibration subtracts from the gradient.
  let asymmetry: [Float]?
  /// [rows, groups].
  let grids: [ScaledGrid]
  /// Whether the values are on the grids, but for those that are free.
  private var isRounded: Bool
  /// Which elements are never rounded; empty if none.
  var free: [Bool] = []
  private(set) var best: [Float]
  private var leastErrors: [Double]
  /// H − η·gradient of the last gradient step.
  private(set) var proposal: [Float] = []

  init(
    weights: [Float], values: [Float], asymmetry: [Float]?, grids: [ScaledGrid], isRounded: Bool
  ) {
    self.weights = weights
    self.values = values
    self.asymmetry = asymmetry
    self.grids = grids
    self.isRounded = isRounded
    best = values
    leastErrors = []
  }

  private func rows(_ layout: DescentLayout) -> Int { values.count / layout.columns }

  /// (Ŵ − W)·Σ, less W·(C − Σ) with cross moments C.
  private func gradient(_ layout: DescentLayout) -> [Float] {
    let n = layout.columns
    var result = asymmetry.map { $0.map(-) } ?? [Float](repeating: 0, count: values.count)
    let differences = zip(values, weights).map { $0 - $1 }
    result.withUnsafeMutableBufferPointer { result in
      MatrixProduct.accumulate(
        1, differences, rows: rows(layout), layout.sigma, rowStride: n, in: 0..<n,
        columns: 0..<n, into: result)
    }
    return result
  }

  /// Keeps each row of the values that has less error than any before.
  mutating func judge(_ layout: DescentLayout) { judge(layout, gradient(layout)) }

  private mutating func judge(_ layout: DescentLayout, _ gradient: [Float]) {
    guard isRounded else { return }
    let n = layout.columns
    let isFirst = leastErrors.isEmpty
    if isFirst { leastErrors = [Double](repeating: .infinity, count: rows(layout)) }
    for row in leastErrors.indices {
      // d·Σ·dᵀ − 2·a·dᵀ = d·(gradient − a)
      var error = 0.0
      for i in row * n..<(row + 1) * n {
        let slope = Double(gradient[i]) - Double(asymmetry?[i] ?? 0)
        error += Double(values[i] - weights[i]) * slope
      }
      guard isFirst || error < leastErrors[row] else { continue }
      leastErrors[row] = error
      best.replaceSubrange(row * n..<(row + 1) * n, with: values[row * n..<(row + 1) * n])
    }
  }

  /// Visits every column once; returns whether any value changed.
  mutating func sweep(_ layout: DescentLayout, rounding: Bool) -> Bool {
    let (n, rows) = (layout.columns, rows(layout))
    var gradient = gradient(layout)
    judge(layout, gradient)
    var changed = false
    for start in stride(from: 0, to: n, by: layout.block) {
      let block = start..<min(start + layout.block, n)
      var moves = [Float](repeating: 0, count: rows * block.count)
      var hasMoved = false
      for row in 0..<rows {
        if visit(row, block, layout, &gradient, &moves, rounding) { hasMoved = true }
      }
      changed = changed || hasMoved
      guard block.upperBound < n, hasMoved else { continue }
      gradient.withUnsafeMutableBufferPointer { gradient in
        MatrixProduct.accumulate(
          1, moves, rows: rows, layout.sigma, rowStride: n, in: block,
          columns: block.upperBound..<n, into: gradient)
      }
    }
    isRounded = rounding
    return changed
  }

  /// The columns of `block` in one row, group by group; the gradient is updated within the block.
  private mutating func visit(
    _ row: Int, _ block: Range<Int>, _ layout: DescentLayout, _ gradient: inout [Float],
    _ moves: inout [Float], _ rounding: Bool
  ) -> Bool {
    let (n, width) = (layout.columns, layout.width)
    let (free, grids) = (free, grids)
    let here = row * n + block.lowerBound..<row * n + block.upperBound
    return layout.sigma.withUnsafeBufferPointer { sigma in
      values.withUnsafeMutableBufferPointer { values in
        gradient.withUnsafeMutableBufferPointer { gradient in
          moves.withUnsafeMutableBufferPointer { moves in
            let visit = BlockVisit(
              block: block, columns: n, sigma: sigma, steps: layout.steps,
              values: .init(rebasing: values[here]), gradient: .init(rebasing: gradient[here]),
              moves: .init(rebasing: moves[row * block.count..<(row + 1) * block.count]),
              free: free.isEmpty ? [] : free[here])
            var changed = false
            var start = block.lowerBound
            while start < block.upperBound {
              let end = min(block.upperBound, (start / width + 1) * width)
              let grid = grids[row * layout.groups + start / width]
              if visit(start..<end, grid, rounding) { changed = true }
              start = end
            }
            return changed
          }
        }
      }
    }
  }

  // MARK: - Outliers

  /// Ŵ ← the nearest grid points of free elements; the proposal is H − η·gradient with H the rest.
  mutating func step(_ layout: DescentLayout, rate: Float) {
    proposal = gradient(layout).map { -rate * $0 }
    for i in values.indices where free[i] {
      let grid = grids[i / layout.columns * layout.groups + i % layout.columns / layout.width]
      let nearest = grid.nearest(to: values[i])
      proposal[i] += values[i] - nearest
      values[i] = nearest
    }
  }

  /// Adds the proposal where it is free.
  mutating func accept() {
    for i in values.indices where free[i] { values[i] += proposal[i] }
  }
}

/// One row of a block of columns; buffers start at the block's first column.
private struct BlockVisit {
  let block: Range<Int>
  let columns: Int
  /// [columns, columns].
  let sigma: UnsafeBufferPointer<Float>
  let steps: [Float]
  let values: UnsafeMutableBufferPointer<Float>
  let gradient: UnsafeMutableBufferPointer<Float>
  let moves: UnsafeMutableBufferPointer<Float>
  let free: ArraySlice<Bool>

  /// The columns of `range`, which share `grid`; returns whether any value changed.
  func callAsFunction(_ range: Range<Int>, _ grid: ScaledGrid, _ rounding: Bool) -> Bool {
    var changed = false
    for j in range {
      let i = j - block.lowerBound
      let old = values[i]
      let best = old - gradient[i] * steps[j]  // β = ŵ − [(Ŵ − W)·Σ]_j / Σ_jj
      let isFree = !free.isEmpty && free[free.startIndex + i]
      let new = isFree ? best : rounding ? grid.nearest(to: best) : grid.clamped(best)
      guard new != old else { continue }
      changed = true
      values[i] = new
      moves[i] = new - old
      let row = sigma[j * columns + j + 1..<j * columns + block.upperBound]
      Kernels.axpy(
        new - old, UnsafeBufferPointer(rebasing: row),
        UnsafeMutableBufferPointer(rebasing: gradient[(i + 1)...]))
    }
    return changed
  }
}

extension ScaledGrid {
  /// round(x/scale) within the range of codes, less the zero point, ties to even; or the nearest level.
  ///
  /// The bounds are whole, so that limits may come before rounding; and below 2²² adding and taking
  /// away 1.5·2²³ rounds as the processor does, in two additions.
  @inline(__always) func level(nearest x: Float) -> Float {
    if let levels { return levels.nearest(to: x / scale).value }
    let limited = min(high - zero, max(low - zero, x / scale))  // NaN becomes the least
    let magic: Float = 12_582_912
    return limited + magic - magic
  }

  /// The same with the code as stored.
  @inline(__always) func choice(nearest x: Float) -> (level: Float, code: Int8) {
    guard let levels else {
      let level = level(nearest: x)
      return (level, Int8(level + zero))
    }
    let (level, code) = levels.nearest(to: x / scale)
    return (level, Int8(truncatingIfNeeded: code))
  }

  /// The representable value nearest to `x`.
  @inline(__always) fileprivate func nearest(to x: Float) -> Float { level(nearest: x) * scale }

  /// `x` within the range of the representable values.
  @inline(__always) fileprivate func clamped(_ x: Float) -> Float {
    min(max(x, (low - zero) * scale), (high - zero) * scale)
  }
}
