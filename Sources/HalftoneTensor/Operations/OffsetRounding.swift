import CHalftoneKernels

/// Weights moved by a learned offset, then rounded to a grid whose step is learned: the roundings of
/// SignRound (Cheng et al. 2023) and AdaQuant (Hubara et al. 2020).
///
/// With C the clamped code without its zero point, M = 1 where it is not clamped and G = dŴ, what an
/// offset u·V does to Ŵ = s·C is dV = u·M∘G, and s itself gets Σ G∘(C − (W + u·V)/s∘M).
extension Tensor {
  /// Ŵ = s·(clamp(round(W/s + V) + z, low, high) − z) on the narrowed grids of `grid`: SignRound.
  ///
  /// s and z follow from `lower` α and `upper` β by ``GridTable/narrowed(lower:upper:)``. `lower` is
  /// nil for symmetric grids. dV = s∘M∘G, ds = Σ G∘(C − W/s∘M), dz = −Σ s·G where clamped, and from
  /// these dα and dβ.
  public func signRounded(_ grid: GridTable, v: Tensor, lower: Tensor?, upper: Tensor) -> Tensor {
    precondition(v.shape == shape && upper.shape == grid.scales.shape)
    let current = grid.narrowed(lower: lower, upper: upper)
    return offsetRounded(current, v, units: current)
      .recorded(.signRound, [v, upper] + [lower].compactMap { $0 }) { dy in
        let slopes = offsetSlopes(current, v, units: current, unitsAreSteps: true, dy)
        let (dUpper, dLower) = grid.narrowingPullback(
          lower: lower, upper: upper, dScale: slopes.scale, dZero: slopes.zero)
        return [slopes.offset, dUpper] + [dLower].compactMap { $0 }
      }
  }

  /// Ŵ = s·(clamp(round((W + s₀∘V)/s) + z) − z), s = s₀·exp(logStep) for the steps s₀ of `grid`, zero
  /// points fixed: AdaQuant, the perturbation measured in steps.
  ///
  /// dV = s₀∘M∘G, dlogStep = s·Σ G∘(C − (W + s₀∘V)/s∘M).
  public func perturbedRounded(_ grid: GridTable, logStep: Tensor, v: Tensor) -> Tensor {
    precondition(v.shape == shape && logStep.shape == grid.scales.shape)
    let current = grid.scaled(byExponentialOf: logStep)
    return offsetRounded(current, v, units: grid)
      .recorded(.perturbedRound, [logStep, v]) { dy in
        let slopes = offsetSlopes(current, v, units: grid, unitsAreSteps: false, dy)
        return [slopes.scale.times(current.scales), slopes.offset]
      }
  }

  /// The distance between the two values of `grid` around each weight, in scales; nil for uniform grids.
  ///
  /// What an offset is measured in where values are not one apart. Outside the range it is that of the outer
  /// values.
  public func steps(on grid: GridTable) -> Tensor? {
    guard let levels = grid.levels else { return nil }
    let w = floats
    return runs(of: grid) { cell, i, n, out in
      for j in 0..<n { out[j] = levels.step(at: w[i + j] / cell.scale) }
    }
  }

  /// Each weight plus its offset times the step of its grid in `units`, rounded to `grid`.
  private func offsetRounded(_ grid: GridTable, _ offset: Tensor, units: GridTable) -> Tensor {
    let (w, v) = (floats, offset.floats)
    return runs(of: grid) { cell, i, n, out in
      out.update(from: w + i, count: n)
      Kernels.set.axpy(v + i, units.scale(of: i, columns: columns), out, n)
      Kernels.set.round_trip(out, cell.parameters, out, n)
    }
  }

  /// The gradients of the offset, shaped as the weights, and of scale and zero, shaped as the grid's.
  private func offsetSlopes(
    _ grid: GridTable, _ offset: Tensor, units: GridTable, unitsAreSteps: Bool, _ dy: Tensor
  ) -> (offset: Tensor, scale: Tensor, zero: Tensor) {
    let (w, v, g) = (floats, offset.floats, dy.floats)
    let width = columns / grid.groups
    // One cell for each run; one row of runs writes its own cells only.
    var dScales = [Float](repeating: 0, count: rows * grid.groups)
    var dZeros = dScales
    let dv = dScales.withUnsafeMutableBufferPointer { dScales in
      dZeros.withUnsafeMutableBufferPointer { dZeros in
        nonisolated(unsafe) let (dScales, dZeros) = (dScales, dZeros)
        return runs(of: grid) { cell, i, n, out in
          let u = units.scale(of: i, columns: columns)
          out.update(from: w + i, count: n)
          Kernels.set.axpy(v + i, u, out, n)
          var dScale = Kernels.set.round_trip_pullback(out, cell.parameters, g + i, out, n)
          if unitsAreSteps { dScale += Kernels.set.dot(out, v + i, n) }
          dScales[i / width] = dScale
          dZeros[i / width] = cell.scale * (Kernels.set.sum(out, n) - Kernels.set.sum(g + i, n))
          Kernels.set.scale(out, u, out, n)
        }
      }
    }
    func shaped(_ cells: [Float]) -> Tensor {
      let perRow = Tensor(cells, shape: [rows, grid.groups])
      return (grid.scales.shape[0] == 1 ? perRow.summedOverRows() : perRow)
        .relabeled(grid.scales.shape)
    }
    return (dv, shaped(dScales), shaped(dZeros))
  }
}

extension GridTable {
  /// The scale of the grid of element `i` of weights with so many columns.
  fileprivate func scale(of i: Int, columns: Int) -> Float {
    grid(row: i / columns, group: i % columns / (columns / groups)).scale
  }

  /// The same grids with the lower end of each range times `lower` and the upper times `upper`.
  ///
  /// With a = low − z and b = high − z the ratio of the steps is r = (β·b − α·a)/(b − a), and the new
  /// zero low − round(α·a/r), which lies within the codes. Without `lower` the zeros stay and r = β.
  /// Factors of 1 leave every bit; factors are above 0.
  public func narrowed(lower: Tensor?, upper: Tensor) -> GridTable {
    var result = self
    let beta = upper.values
    guard let alpha = lower?.values else {
      result.scales = scales.times(upper.detached)
      return result
    }
    let cells = zip(zeros.values, zip(alpha, beta)).map { zero, factors in
      let cell = narrowing(zero, factors.0, factors.1)
      return (cell.ratio, low - (cell.end / cell.ratio).rounded(.toNearestOrEven))
    }
    let ratios = Tensor(cells.map(\.0), shape: scales.shape)
    result.scales = scales.times(ratios)
    result.zeros = Tensor(cells.map(\.1), shape: zeros.shape)
    return result
  }

  /// α·a and r.
  private func narrowing(_ zero: Float, _ alpha: Float, _ beta: Float) -> (end: Float, ratio: Float)
  {
    let end = alpha * (low - zero)
    return (end, (beta * (high - zero) - end) / (high - low))
  }

  /// dβ = (dr + dz·α·a/r²)·b/n and dα = −(dr + dz·α·a/r²)·a/n − dz·a/r for n = b − a, dr = s₀·ds, the
  /// rounding of the zero passed straight through.
  fileprivate func narrowingPullback(
    lower: Tensor?, upper: Tensor, dScale: Tensor, dZero: Tensor
  ) -> (upper: Tensor, lower: Tensor?) {
    let dRatio = scales.times(dScale).values
    guard let alpha = lower?.values else { return (Tensor(dRatio, shape: upper.shape), nil) }
    let (beta, zero, dZero, span) = (upper.values, zeros.values, dZero.values, high - low)
    var (dUpper, dLower) = (dRatio, dRatio)
    for i in zero.indices {
      let (end, ratio) = narrowing(zero[i], alpha[i], beta[i])
      let (a, b) = (low - zero[i], high - zero[i])
      let total = dRatio[i] + dZero[i] * end / (ratio * ratio)
      dUpper[i] = total * b / span
      dLower[i] = -total * a / span - dZero[i] * a / ratio
    }
    return (Tensor(dUpper, shape: upper.shape), Tensor(dLower, shape: upper.shape))
  }
}
