public import HalftoneTensor

// Scales in two levels, of groups and of rows.

extension ScaleFormat {
  /// Whether each row has a float that the scales of its groups are simple multiples of.
  public var hasRowUnits: Bool { self == .rowPowers || self == .rowIntegers }
}

extension WeightScheme {
  /// Splits the scales of `table`, found for each group alone, into two levels.
  ///
  /// Powers of two, M2 of ZeroQuant-FP: with S the largest scale of a row, Ŝ_g = S/2^⌊log₂(S/S_g)⌋, which is
  /// no less than S_g, so that nothing is clamped that was not.
  ///
  /// Whole numbers, after Dual Grained Quantization's second phase: Ŝ_g = k_g·S with k_g = max(1,
  /// round(S_g/S)) at most m_g, so that k·(q − z) stays within ±127, and S = r·max S_g/m_g for the r of
  /// 1.00, 0.99 … 0.20 with the least squared error of the row. The authors measure that error on outputs, as
  /// the method `dgq` does.
  func splitRows(_ table: GridTable, of weights: Tensor) -> GridTable {
    let (rows, columns, groups) = (weights.rows, weights.columns, table.groups)
    var table = table
    var scales = table.scales.values
    let units = [Float](unsafeUninitializedCapacity: rows) { units, count in
      count = rows
      nonisolated(unsafe) let units = units
      weights.withElements { w in
        scales.withUnsafeMutableBufferPointer { scales in
          nonisolated(unsafe) let scales = scales
          parallelFor(rows) { row in
            let run = UnsafeBufferPointer(rebasing: w[row * columns..<(row + 1) * columns])
            var own = (0..<groups).map { table.grid(row: row, group: $0) }
            let unit = self.scales == .rowPowers ? powers(&own, run) : integers(&own, run)
            units.initializeElement(at: row, to: unit)
            for group in 0..<groups { scales[row * groups + group] = own[group].scale }
          }
        }
      }
    }
    table.scales = Tensor(scales, shape: table.scales.shape)
    table.rowUnits = Tensor(units, shape: [rows, 1])
    return table
  }

  /// Puts powers of two times the largest scale into `grids`, and returns that.
  private func powers(_ grids: inout [ScaledGrid], _ row: UnsafeBufferPointer<Float>) -> Float {
    let width = row.count / grids.count
    // Groups of zeros have a scale of 1 that means nothing.
    let used = grids.indices.filter { group in
      row[group * width..<(group + 1) * width].contains { $0 != 0 }
    }
    let unit = used.map { grids[$0].scale }.max() ?? 1
    for group in grids.indices {
      let ratio = unit / grids[group].scale
      let exponent =
        used.contains(group) && ratio.isNormal ? min(max(0, Int(ratio.exponent)), 126) : 0
      let scale = Float(sign: .plus, exponent: -exponent, significand: 1) * unit
      grids[group].scale = scale.isNormal ? scale : unit
    }
    return unit
  }

  private func integers(_ grids: inout [ScaledGrid], _ row: UnsafeBufferPointer<Float>) -> Float {
    let width = row.count / grids.count
    let most = grids.map(\.largestMultiple)
    let largest = grids.indices.filter { group in
      row[group * width..<(group + 1) * width].contains { $0 != 0 }
    }.map { grids[$0].scale / most[$0] }.max()
    guard let largest else {
      for group in grids.indices { grids[group].scale = 1 }
      return 1
    }
    var best: (error: Float, unit: Float, grids: [ScaledGrid])?
    for step in 0...80 {
      let unit = (1 - 0.01 * Float(step)) * largest
      guard unit.isNormal else { continue }
      var candidate = grids
      var error: Float = 0
      for group in grids.indices {
        let multiple = min(
          max(1, (grids[group].scale / unit).rounded(.toNearestOrEven)), most[group])
        candidate[group].scale = multiple * unit
        error += Kernels.roundTripError(
          UnsafeBufferPointer(rebasing: row[group * width..<(group + 1) * width]),
          candidate[group], power: 2)
      }
      if best.map({ error < $0.error }) ?? true { best = (error, unit, candidate) }
    }
    guard let best else { return 1 }
    grids = best.grids
    return best.unit
  }
}

extension ScaledGrid {
  /// The largest whole number k with which no k·(q − z) of this grid's codes q exceeds ±127; at least 1.
  public var largestMultiple: Float { max(1, (127 / max(zero - low, high - zero)).rounded(.down)) }
}

extension GridTable {
  /// Whether each group of `weights` holds anything but zeros, row by row.
  public func usedGroups(of weights: Tensor) -> [Bool] {
    var used = [Bool](repeating: false, count: weights.rows * groups)
    weights.withElements { w in
      forEachRun(rows: 0..<weights.rows, columns: weights.columns) { _, row, run in
        let group = run.lowerBound % weights.columns / run.count
        used[row * groups + group] = w[run].contains { $0 != 0 }
      }
    }
    return used
  }
}
