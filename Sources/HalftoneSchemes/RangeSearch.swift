public import HalftoneTensor

/// How the range of a grid is found from the values it must hold.
public enum RangeRule: String, Sendable, CaseIterable {
  case minMax = "min-max"
  case minMSE = "min-mse"
  /// The outermost values left out.
  case percentile
  /// Mean magnitudes, for binary and ternary weights.
  case absMean = "absmean"
  /// That of ternary weight networks.
  case twn

  /// The search this word stands for.
  public var search: any RangeSearch {
    switch self {
    case .minMax: MinMaxRange()
    case .minMSE: MinMSERange()
    case .percentile: PercentileRange()
    case .absMean: MeanMagnitudeRange()
    case .twn: TernaryThresholdRange()
    }
  }
}

/// Finds the grid for a set of values that will share it.
public protocol RangeSearch: Sendable {
  /// The grid of `family` for the values of `runs`, one or more contiguous pieces.
  ///
  /// Values that are not all finite get the grid of an empty range.
  func grid(for runs: [UnsafeBufferPointer<Float>], in family: GridFamily) -> ScaledGrid
}

/// The grids among which a range is searched: those of a format.
public struct GridFamily: Sendable {
  private let bits: Int
  let symmetric: Bool
  private let levels: LevelTable?
  private let rule: ScaleRule

  /// For a matrix whose magnitudes reach `largest`, which only two-level scales ask for.
  public init(
    _ format: any NumberFormat, symmetric: Bool, scales: ScaleFormat = .float, largest: Float = 0
  ) {
    bits = format.bits
    self.symmetric = symmetric
    levels = format.levels
    rule = ScaleRule(scales, largest: largest, high: format.extent.high)
  }

  /// What all scales are multiples of: 1 but for two-level scales.
  public var unit: Float { rule.unit }

  /// The grid that reaches from `minimum` to `maximum`, as far as its scale's format allows.
  public func covering(_ minimum: Float, _ maximum: Float) -> ScaledGrid {
    var grid = ScaledGrid(
      covering: minimum, maximum, bits: bits, symmetric: symmetric, levels: levels)
    grid.scale = rule.rounded(grid.scale, reach: max(-minimum, maximum))
    return grid
  }

  /// The grid whose least positive value is `magnitude`, without zero point.
  func grid(least magnitude: Float) -> ScaledGrid {
    var grid = covering(0, 0)
    let unit = levels?.leastPositive ?? 1
    let scale = magnitude / unit
    guard scale.isFinite, scale >= .leastNormalMagnitude else { return grid }
    grid.scale = rule.rounded(scale, reach: scale * grid.high)
    return grid
  }

  /// The fractions of a range that a search looks at, about `count` of them, the largest first.
  func fractions(_ count: Int) -> [Float] { rule.fractions(count) }
}

/// The whole range of the values.
public struct MinMaxRange: RangeSearch {
  public init() {}

  public func grid(for runs: [UnsafeBufferPointer<Float>], in family: GridFamily) -> ScaledGrid {
    let range = extrema(runs)
    return family.covering(range.minimum, range.maximum)
  }
}

/// The fraction of the whole range that minimises mean |w − ŵ|^p.
///
/// The one-dimensional search that BRECQ's and QDrop's code uses (both with p = 2.4): the range shrinks
/// towards zero in steps of 1/`candidates`; of equal errors the larger range wins. Asymmetric ranges
/// shrink at both ends by the same fraction.
public struct MinMSERange: RangeSearch {
  public var power: Float = 2.4
  public var candidates = 100

  public init() {}

  public func grid(for runs: [UnsafeBufferPointer<Float>], in family: GridFamily) -> ScaledGrid {
    let range = extrema(runs)
    let fractions = family.fractions(candidates)
    func grid(_ place: Int) -> ScaledGrid {
      family.covering(range.minimum * fractions[place], range.maximum * fractions[place])
    }
    guard runs.reduce(0, { $0 + $1.count }) > 1 << 17 else {
      return search(fractions.count, on: runs, grid)
        ?? family.covering(range.minimum, range.maximum)
    }
    let errors = errors(of: fractions.indices.map(grid), on: runs)
    var best: (error: Double, place: Int)?
    for (place, error) in errors.enumerated() where error < best?.error ?? .infinity {
      best = (error, place)
    }
    return best.map { grid($0.place) } ?? family.covering(range.minimum, range.maximum)
  }

  /// The grid among `count` with the smallest error, the first of equals; nil where errors are no numbers.
  ///
  /// The result does not depend on the order, which begins with every eighth and goes on from the best
  /// of those outwards: the sooner an error is small, the sooner others are known to be larger.
  private func search(
    _ count: Int, on runs: [UnsafeBufferPointer<Float>], _ grid: (Int) -> ScaledGrid
  ) -> ScaledGrid? {
    let stride = 8
    var best: (error: Double, place: Int, grid: ScaledGrid)?
    func look(_ place: Int) {
      let candidate = grid(place)
      let error = error(of: candidate, on: runs, within: best?.error ?? .infinity)
      guard let old = best else {
        if error < .infinity { best = (error, place, candidate) }
        return
      }
      if error < old.error || error == old.error && place < old.place {
        best = (error, place, candidate)
      }
    }
    for place in Swift.stride(from: 0, to: count, by: stride) { look(place) }
    let middle = best?.place ?? 0
    for distance in 1..<max(2, count) {
      for place in [middle - distance, middle + distance]
      where (0..<count).contains(place) && !place.isMultiple(of: stride) {
        look(place)
      }
    }
    return best?.grid
  }

  /// Σ |w − ŵ|^p in pieces of fixed size added in order in double precision; where that exceeds `limit`,
  /// any number above it.
  private func error(
    of grid: ScaledGrid, on runs: [UnsafeBufferPointer<Float>], within limit: Double
  ) -> Double {
    var sum = 0.0
    for run in runs {
      for start in stride(from: 0, to: run.count, by: Self.piece) {
        let piece = UnsafeBufferPointer(
          rebasing: run[start..<min(start + Self.piece, run.count)])
        // Rounded up, so that no error within the limit is taken for one beyond it.
        let rest = Float(limit - sum).nextUp
        let error = Kernels.roundTripError(piece, grid, power: power, within: rest)
        sum += Double(error)
        if error > rest { return max(sum, limit.nextUp) }
      }
    }
    return sum
  }

  private static let piece = 1 << 14

  /// All errors to the end, on as many threads as there are.
  private func errors(
    of grids: [ScaledGrid], on runs: [UnsafeBufferPointer<Float>]
  ) -> [Double] {
    [Double](unsafeUninitializedCapacity: grids.count) { errors, count in
      count = grids.count
      let errors = errors
      parallelFor(grids.count) { i in
        errors.initializeElement(at: i, to: error(of: grids[i], on: runs, within: .infinity))
      }
    }
  }
}

private func extrema(_ runs: [UnsafeBufferPointer<Float>]) -> (minimum: Float, maximum: Float) {
  runs.reduce((Float.infinity, -Float.infinity)) { range, run in
    let next = Kernels.extrema(run)
    guard !next.minimum.isNaN else { return next }  // min and max keep a NaN only on their left
    return (Swift.min(range.0, next.minimum), Swift.max(range.1, next.maximum))
  }
}

extension WeightScheme {
  /// The grids among which the range rule chooses for `weights`.
  public func family(for weights: Tensor) -> GridFamily {
    let range = weights.withElements { extrema([$0]) }
    return family(reaching: max(-range.minimum, range.maximum))
  }

  /// The same for weights of magnitudes up to `largest`.
  func family(reaching largest: Float) -> GridFamily {
    GridFamily(format, symmetric: symmetric, scales: scales, largest: largest)
  }

  /// The grids of `weights` [rows, columns], found by this scheme's range rule.
  ///
  /// - Throws: `SchemeError` if a group does not divide the columns, or the scales need more groups.
  public func grids(for weights: Tensor) throws(SchemeError) -> GridTable {
    try check(rows: weights.rows, columns: weights.columns)
    let table = try granularity.tableShape(rows: weights.rows, columns: weights.columns)
    if case .block = granularity { throw SchemeError("weights take no block granularity") }
    let search: any RangeSearch =
      (format as? OutlierVictimFormat).map { OutlierVictimRange($0) } ?? range.search
    let (family, columns) = (family(for: weights), weights.columns)
    let width = columns / table.columns
    var scales = [Float](repeating: 1, count: table.rows * table.columns)
    var zeros = scales
    weights.withElements { w in
      scales.withUnsafeMutableBufferPointer { scales in
        zeros.withUnsafeMutableBufferPointer { zeros in
          nonisolated(unsafe) let (scales, zeros) = (scales, zeros)
          parallelFor(table.rows) { row in
            for group in 0..<table.columns {
              let run =
                granularity == .tensor
                ? w
                : UnsafeBufferPointer(
                  rebasing: w[row * columns + group * width..<row * columns + (group + 1) * width])
              let grid = search.grid(for: [run], in: family)
              scales[row * table.columns + group] = grid.scale
              zeros[row * table.columns + group] = grid.zero
            }
          }
        }
      }
    }
    try self.scales.check(scales)
    let shape = [table.rows, table.columns]
    let grids = GridTable(
      scales: Tensor(scales, shape: shape), zeros: Tensor(zeros, shape: shape),
      low: format.extent.low, high: format.extent.high, levels: format.levels, unit: family.unit)
    if self.scales == .nested { return try nest(grids, of: weights) }
    guard self.scales.hasRowUnits else { return grids }
    return splitRows(grids, of: weights)
  }
}
