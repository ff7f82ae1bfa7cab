import CHalftoneKernels

/// The soft rounding of AdaRound (Nagel et al. 2020), with the rectified sigmoid
/// h(V) = clamp(1.2·σ(V) − 0.1, 0, 1).
extension Tensor {
  /// Ŵ = s·(clamp(floor(W/s) + h(V) + z, low, high) − z).
  ///
  /// dV = dŴ·s·h′(V) where nothing is clamped, else 0.
  public func adaRounded(_ grid: GridTable, v: Tensor) -> Tensor {
    precondition(v.shape == shape, "adaRounded: \(shape), \(v.shape)")
    let (w, x) = (floats, v.floats)
    return runs(of: grid) { grid, i, n, out in
      Kernels.set.adaround(w + i, x + i, grid.parameters, out, n)
    }
    .recorded(.adaRound, [v]) { dy in
      let (w, x, g) = (self.floats, v.floats, dy.floats)
      return [
        self.runs(of: grid) { grid, i, n, out in
          _ = Kernels.set.adaround_pullback(w + i, x + i, grid.parameters, g + i, 0, 1, out, n)
        }
      ]
    }
  }

  /// The regulariser λ·Σ (1 − |2h(V) − 1|^β) that drives h to 0 or 1; self is V.
  public func adaRoundPenalty(weight: Float, exponent: Float) -> Tensor {
    let (v, zeros) = (floats, Tensor(repeating: 0, shape: [elementGrain]))
    let grid = UniformGrid(scale: 1, low: -1, high: 1).parameters
    var total: Float = 0
    // W = 0 and G = 0 leave the regulariser's part of the kernel.
    let derivative = Tensor(shape: shape) { out in
      guard let out = out.baseAddress else { return }
      total = orderedSum { i, n in
        Kernels.set.adaround_pullback(
          zeros.floats, v + i, grid, zeros.floats, weight, exponent, out + i, n)
      }
    }
    return Tensor([total * weight], shape: []).recorded(.adaRound, [self]) {
      [derivative.times($0.scalar)]
    }
  }

  /// A tensor of this shape filled run by run of one grid, on several threads.
  func runs(
    of table: GridTable,
    _ body: (UniformGrid, _ start: Int, _ count: Int, UnsafeMutablePointer<Float>) -> Void
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
}
