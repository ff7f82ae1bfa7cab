import HalftoneSchemes
import HalftoneTensor

/// Cyclic coordinate descent over the columns of a layer; rows do not touch each other, so that
/// tiles of rows go through all sweeps on their own.
struct ColumnDescent {
  private let layout: DescentLayout
  private var tiles: [DescentTile]

  /// - Parameters:
  ///   - values: where to start: [rows, columns].
  ///   - isRounded: whether they are on the grids.
  ///   - damping: added to Σ_jj where it divides, relative to the mean of the diagonal.
  init(
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
  var best: Tensor { layout.matrix(tiles.flatMap(\.best)) }

  /// [rows, columns], row-major.
  var values: [Float] { tiles.flatMap(\.values) }

  /// Marks the elements that are never rounded.
  mutating func setFree(_ free: [Bool]) {
    var rest = free[...]
    for i in tiles.indices {
      tiles[i].free = Array(rest.prefix(tiles[i].values.count))
      rest = rest.dropFirst(tiles[i].values.count)
    }
  }

  /// One sweep for each element of `sweeps`, which says whether it is relaxed.
  mutating func solve(sweeps: [Bool]) {
    forEachTile { layout, tile in
      for (k, isRelaxed) in sweeps.enumerated() {
        let changed = tile.sweep(layout, rounding: !isRelaxed)
        // A rounded sweep that changes nothing would be repeated for ever.
        if !changed, !isRelaxed, !sweeps[k...].contains(true) { break }
      }
      tile.judge(layout)
    }
  }

  mutating func sweep(rounding: Bool) {
    forEachTile { layout, tile in _ = tile.sweep(layout, rounding: rounding) }
  }

  /// H ← the `count` largest of H − η·(Ŵ + H − W)·Σ, where Ŵ + H are the values, Ŵ nearest to them;
  /// returns the new support.
  mutating func threshold(_ count: Int, rate: Float) -> [Bool] {
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
  let grids: [UniformGrid]
  /// Whether the values are on the grids, but for those that are free.
  private var isRounded: Bool
  /// Which elements are never rounded; empty if none.
  var free: [Bool] = []
  private(set) var best: [Float]
  private var leastErrors: [Double]
  /// H − η·gradient of the last gradient step.
  private(set) var proposal: [Float] = []

  init(
    weights: [Float], values: [Float], asymmetry: [Float]?, grids: [UniformGrid], isRounded: Bool
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
    let n = layout.columns
    var gradient = gradient(layout)
    judge(layout, gradient)
    var changed = false
    for start in stride(from: 0, to: n, by: layout.block) {
      let block = start..<min(start + layout.block, n)
      var moves = [Float](repeating: 0, count: rows(layout) * block.count)
      for row in 0..<rows(layout) {
        if visit(row, block, layout, &gradient, &moves, rounding) { changed = true }
      }
      guard block.upperBound < n, moves.contains(where: { $0 != 0 }) else { continue }
      gradient.withUnsafeMutableBufferPointer { gradient in
        MatrixProduct.accumulate(
          1, moves, rows: rows(layout), layout.sigma, rowStride: n, in: block,
          columns: block.upperBound..<n, into: gradient)
      }
    }
    isRounded = rounding
    return changed
  }

  /// The columns of `block` in one row; the gradient is updated within the block.
  private mutating func visit(
    _ row: Int, _ block: Range<Int>, _ layout: DescentLayout, _ gradient: inout [Float],
    _ moves: inout [Float], _ rounding: Bool
  ) -> Bool {
    let n = layout.columns
    var changed = false
    layout.sigma.withUnsafeBufferPointer { sigma in
      gradient.withUnsafeMutableBufferPointer { gradient in
        for j in block {
          let i = row * n + j
          let old = values[i]
          let best = old - gradient[i] * layout.steps[j]  // β = ŵ − [(Ŵ − W)·Σ]_j / Σ_jj
          let isFree = !free.isEmpty && free[i]
          let grid = grids[row * layout.groups + j / layout.width]
          let new = isFree ? best : rounding ? grid.nearest(to: best) : grid.clamped(best)
          guard new != old else { continue }
          changed = true
          values[i] = new
          let move = new - old
          moves[row * block.count + j - block.lowerBound] = move
          Kernels.axpy(
            move, UnsafeBufferPointer(rebasing: sigma[j * n + j + 1..<j * n + block.upperBound]),
            UnsafeMutableBufferPointer(
              rebasing: gradient[i + 1..<row * n + block.upperBound]))
        }
      }
    }
    return changed
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

extension UniformGrid {
  /// The representable value nearest to `x`, ties to even codes.
  fileprivate func nearest(to x: Float) -> Float {
    let code = (x / scale).rounded(.toNearestOrEven) + zero
    return (min(max(code, low), high) - zero) * scale
  }

  /// `x` within the range of the representable values.
  fileprivate func clamped(_ x: Float) -> Float {
    min(max(x, (low - zero) * scale), (high - zero) * scale)
  }
}

/// The largest elements of an array.
enum LargestElements {
  /// Marks the `count` largest of non-negative `magnitudes`; of equal ones the first.
  static func mark(_ count: Int, of magnitudes: [Float]) -> [Bool] {
    guard count < magnitudes.count else {
      return [Bool](repeating: true, count: magnitudes.count)
    }
    // The bits of non-negative floats are ordered as they are.
    let least = nth(count, of: magnitudes.map(\.bitPattern))
    var ties = count - magnitudes.count { $0.bitPattern > least }
    return magnitudes.map { magnitude in
      guard magnitude.bitPattern == least else { return magnitude.bitPattern > least }
      ties -= 1
      return ties >= 0
    }
  }

  /// The `count`-th largest, by the upper half of the bits and then by the lower.
  private static func nth(_ count: Int, of words: [UInt32]) -> UInt32 {
    var left = count
    var prefix: UInt32 = 0
    for shift in [UInt32(16), 0] {
      var histogram = [Int](repeating: 0, count: 1 << 16)
      for word in words where shift == 16 || word >> 16 == prefix >> 16 {
        histogram[Int(word >> shift & 0xffff)] += 1
      }
      var bin = histogram.count - 1
      while bin > 0, histogram[bin] < left {
        left -= histogram[bin]
        bin -= 1
      }
      prefix |= UInt32(bin) << shift
    }
    return prefix
  }
}
