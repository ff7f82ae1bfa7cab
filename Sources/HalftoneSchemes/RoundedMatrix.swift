public import HalftoneTensor

/// A matrix rounded to nearest, and how far its elements moved.
public struct RoundedMatrix: Sendable {
  public let weight: QuantizedTensor
  /// Whether the matrix held numbers alone; else nothing here is of use.
  public let isFinite: Bool
  /// Σ w².
  public let squares: Double
  /// Σ (w − ŵ)².
  public let squaredError: Double
  /// The same on the grid that reaches over the whole range.
  public let plainSquaredError: Double
}

extension WeightScheme {
  /// `stored` [rows, columns], floats of any type, rounded to nearest: what ``grids(for:)`` and
  /// ``GridTable/quantize(_:format:)`` make of ``Tensor/float()``, in one pass over the elements.
  ///
  /// No more than a piece for each thread is held as floats, except to search the one range of a scale
  /// for the whole matrix. Not for schemes with ``roundsJointly``.
  ///
  /// - Throws: `SchemeError` if a group does not divide the columns, or scales exceed their format.
  public func rounded(_ stored: Tensor) throws(SchemeError) -> RoundedMatrix {
    precondition(!roundsJointly, "\(self) cannot be rounded group by group")
    if case .block = granularity { throw SchemeError("weights take no block granularity") }
    let table = try granularity.tableShape(rows: stored.rows, columns: stored.columns)
    var pass = RoundingPass(self, stored, tableRows: table.rows, tableColumns: table.columns)
    let codes = Tensor(shape: [stored.rows, stored.columns], elementType: .int8) {
      pass.run($0.bindMemory(to: Int8.self))
    }
    try scales.check(pass.scales)
    let shape = [table.rows, table.columns]
    let zeros = pass.zeros.contains { $0 != 0 } ? Tensor(pass.zeros, shape: shape) : nil
    let grids = GridTable(
      scales: Tensor(pass.scales, shape: shape), zeros: zeros ?? Tensor(repeating: 0, shape: shape),
      low: format.extent.low, high: format.extent.high, levels: format.levels,
      unit: pass.family.unit)
    return RoundedMatrix(
      weight: try QuantizedTensor(
        shape: [stored.rows, stored.columns], format: format, codes: codes,
        levels: grids.levels(), zeroPoints: zeros),
      isFinite: pass.isFinite, squares: pass.sum(\.squares), squaredError: pass.sum(\.error),
      plainSquaredError: range == .minMax ? pass.sum(\.error) : pass.sum(\.plainError))
  }
}

/// Piece by piece: rows to floats, a grid for each group, codes, errors.
private struct RoundingPass {
  /// Sums over one piece of rows.
  struct Sums {
    var squares = 0.0
    var error = 0.0
    var plainError = 0.0
    var isFinite = true
  }

  let scheme: WeightScheme
  let stored: Tensor
  let family: GridFamily
  /// The grid of all elements, and the one over their whole range, where there is one scale.
  private let shared: (grid: ScaledGrid, plain: ScaledGrid)?
  private let groups: Int
  /// Rows in a piece; it depends on the shape alone, as do the sums.
  private let grain: Int
  var scales: [Float]
  var zeros: [Float]
  private var sums: [Sums]

  init(_ scheme: WeightScheme, _ stored: Tensor, tableRows: Int, tableColumns: Int) {
    (self.scheme, self.stored) = (scheme, stored)
    groups = tableColumns
    grain = max(1, (1 << 15) / stored.columns)
    scales = [Float](repeating: 1, count: tableRows * tableColumns)
    zeros = [Float](repeating: 0, count: tableRows * tableColumns)
    sums = [Sums](repeating: Sums(), count: (stored.rows + grain - 1) / grain)
    let isWhole = scheme.granularity == .tensor
    var range: (minimum: Float, maximum: Float) = (0, 0)
    if isWhole || scheme.scales == .e4m3 { range = Self.extrema(stored, grain: grain) }
    family = scheme.family(reaching: max(-range.minimum, range.maximum))
    guard isWhole else {
      shared = nil
      return
    }
    let plain = family.covering(range.minimum, range.maximum)
    let search = scheme.range.search
    let grid =
      scheme.range == .minMax
      ? plain : stored.float().withElements { [family] in search.grid(for: [$0], in: family) }
    shared = (grid, plain)
    (scales[0], zeros[0]) = (grid.scale, grid.zero)
  }

  /// Of all elements, NaN where one is.
  private static func extrema(_ stored: Tensor, grain: Int) -> (minimum: Float, maximum: Float) {
    let columns = stored.columns
    var ranges = [(Float, Float)](
      repeating: (0, 0), count: (stored.rows + grain - 1) / grain)
    ranges.withUnsafeMutableBufferPointer { ranges in
      nonisolated(unsafe) let ranges = ranges
      parallelRanges(stored.rows, grain: grain) { rows in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: rows.count * columns) { buffer in
          stored.readRows(rows, into: buffer)
          let range = Kernels.extrema(UnsafeBufferPointer(buffer))
          ranges[rows.lowerBound / grain] = (range.minimum, range.maximum)
        }
      }
    }
    return ranges.reduce((Float.infinity, -Float.infinity)) {
      $1.0.isNaN || $0.0.isNaN ? (.nan, .nan) : (min($0.0, $1.0), max($0.1, $1.1))
    }
  }

  var isFinite: Bool { sums.allSatisfy(\.isFinite) }

  /// In the order of the pieces.
  func sum(_ part: KeyPath<Sums, Double>) -> Double { sums.reduce(0) { $0 + $1[keyPath: part] } }

  /// Writes all codes, scales and zero points.
  mutating func run(_ codes: UnsafeMutableBufferPointer<Int8>) {
    let columns = stored.columns
    var (scales, zeros, sums) = (scales, zeros, sums)
    scales.withUnsafeMutableBufferPointer { scales in
      zeros.withUnsafeMutableBufferPointer { zeros in
        sums.withUnsafeMutableBufferPointer { sums in
          nonisolated(unsafe) let (scales, zeros, sums) = (scales, zeros, sums)
          parallelRanges(stored.rows, grain: grain) { rows in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: rows.count * columns) {
              stored.readRows(rows, into: $0)
              sums[rows.lowerBound / grain] = piece(
                UnsafeBufferPointer($0), rows, codes, scales, zeros)
            }
          }
        }
      }
    }
    (self.scales, self.zeros, self.sums) = (scales, zeros, sums)
  }

  /// `weights` are the elements of `rows`.
  private func piece(
    _ weights: UnsafeBufferPointer<Float>, _ rows: Range<Int>,
    _ codes: UnsafeMutableBufferPointer<Int8>, _ scales: UnsafeMutableBufferPointer<Float>,
    _ zeros: UnsafeMutableBufferPointer<Float>
  ) -> Sums {
    let (width, columns) = (stored.columns / groups, stored.columns)
    let search = scheme.range == .minMax ? nil : scheme.range.search
    var sums = Sums()
    sums.squares = Double(Kernels.dot(weights, weights))
    // Squares of finite numbers may overflow; then the groups tell.
    let isClear = sums.squares.isFinite
    for row in 0..<rows.count {
      for group in 0..<groups {
        let start = row * columns + group * width
        let run = UnsafeBufferPointer(rebasing: weights[start..<start + width])
        if !isClear, !Self.isFinite(run) { sums.isFinite = false }
        let (grid, plain) = shared ?? grids(run, search)
        if shared == nil {
          let cell = (rows.lowerBound + row) * groups + group
          scales[cell] = grid.scale
          zeros[cell] = grid.zero
        }
        let place = rows.lowerBound * columns + start
        Kernels.quantize(
          run, grid, UnsafeMutableBufferPointer(rebasing: codes[place..<place + width]))
        sums.error += Double(Kernels.roundTripError(run, grid, power: 2))
        guard search != nil else { continue }
        sums.plainError += Double(Kernels.roundTripError(run, plain, power: 2))
      }
    }
    return sums
  }

  private static func isFinite(_ run: UnsafeBufferPointer<Float>) -> Bool {
    let range = Kernels.extrema(run)
    return range.minimum.isFinite && range.maximum.isFinite
  }

  /// The scheme's own grid, and the one over the whole range.
  private func grids(
    _ run: UnsafeBufferPointer<Float>, _ search: (any RangeSearch)?
  ) -> (grid: ScaledGrid, plain: ScaledGrid) {
    let range = Kernels.extrema(run)
    let plain = family.covering(range.minimum, range.maximum)
    return (search?.grid(for: [run], in: family) ?? plain, plain)
  }
}
