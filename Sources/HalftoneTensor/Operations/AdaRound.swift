import CHalftoneKernels

/// The rounding of AdaRound (Nagel et al. 2020), with the rectified sigmoid
/// h(V) = clamp(1.2·σ(V) − 0.1, 0, 1).
extension Tensor {
  /// Ŵ = s·C, C = clamp(floor(W/s) + h(V) + z, low, high) − z, with s = `grid.scales`·exp(`logStep`).
  ///
  /// dV = dŴ·s·h′(V) where nothing is clamped, else 0. With floor straight through, dlogStep =
  /// Σ (s·C − W)·dŴ over what shares s, without W where clamped. A `hard` rounding takes 1 where
  /// V ≥ 0 and 0 elsewhere in place of h(V), and passes gradients as if it had not.
  public func adaRounded(
    _ grid: GridTable, v: Tensor, logStep: Tensor? = nil, hard: Bool = false
  ) -> Tensor {
    precondition(v.shape == shape, "adaRounded: \(shape), \(v.shape)")
    let (w, x) = (floats, v.floats)
    let current = logStep.map { grid.scaled(byExponentialOf: $0) } ?? grid
    return runs(of: current) { grid, i, n, out in
      Kernels.set.adaround(w + i, x + i, grid.parameters, hard ? 1 : 0, out, n)
    }
    .recorded(.adaRound, [v] + [logStep].compactMap { $0 }) { dy in
      let (w, x, g) = (self.floats, v.floats, dy.floats)
      let (dv, dStep) = self.runsAndSums(of: current) { grid, i, n, out in
        var slope: Float = 0
        _ = Kernels.set.adaround_pullback(
          w + i, x + i, grid.parameters, hard ? 1 : 0, g + i, 0, 1, out, &slope, n)
        return slope
      }
      return logStep == nil ? [dv] : [dv, dStep]
    }
  }

  /// The V at which h(V) is the fraction of W/s, s as for ``adaRounded(_:v:logStep:hard:)``; self is W.
  public func adaRoundStart(_ grid: GridTable, logStep: Tensor? = nil) -> Tensor {
    let w = floats
    return runs(of: logStep.map { grid.scaled(byExponentialOf: $0) } ?? grid) { grid, i, n, out in
      Kernels.set.adaround_start(w + i, grid.parameters, out, n)
    }
  }

  /// The regulariser λ·Σ (1 − |2h(V) − 1|^β) that drives h to 0 or 1; self is V.
  public func adaRoundPenalty(weight: Float, exponent: Float) -> Tensor {
    let (v, zeros) = (floats, Tensor(repeating: 0, shape: [elementGrain]))
    let grid = ScaledGrid(scale: 1, low: -1, high: 1).parameters
    var total: Float = 0
    // W = 0 and G = 0 leave the regulariser's part of the kernel.
    let derivative = Tensor(shape: shape) { out in
      guard let out = out.baseAddress else { return }
      total = orderedSum { i, n in
        var slope: Float = 0
        return Kernels.set.adaround_pullback(
          zeros.floats, v + i, grid, 0, zeros.floats, weight, exponent, out + i, &slope, n)
      }
    }
    return Tensor([total * weight], shape: []).recorded(.adaRound, [self]) {
      [derivative.times($0.scalar)]
    }
  }

  /// A tensor of this shape filled run by run of one grid, on several threads.
  func runs(
    of table: GridTable,
    _ body: (ScaledGrid, _ start: Int, _ count: Int, UnsafeMutablePointer<Float>) -> Void
  ) -> Tensor {
    Tensor(shape: shape) { out in
      guard let out = out.baseAddress else { return }
      parallelRanges(rows, grain: max(1, elementGrain / columns)) { range in
        table.forEachRun(rows: range, columns: columns) { grid, _, run in
          body(grid, run.lowerBound, run.count, out + run.lowerBound)
        }
      }
    }
  }

  /// The same with a number from each run, summed over what shares a grid: shaped as `table.scales`.
  func runsAndSums(
    of table: GridTable,
    _ body: (ScaledGrid, _ start: Int, _ count: Int, UnsafeMutablePointer<Float>) -> Float
  ) -> (Tensor, Tensor) {
    var sums = [Float](repeating: 0, count: rows * table.groups)
    let result = sums.withUnsafeMutableBufferPointer { sums in
      let sums = UncheckedPointer(sums)
      return runs(of: table) { grid, i, n, out in
        sums.base[i / n] = body(grid, i, n, out)
      }
    }
    return (result, table.summed(sums, rows: rows))
  }
}
