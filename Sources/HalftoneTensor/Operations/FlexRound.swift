import CHalftoneKernels

/// The weight rounding of FlexRound (Lee et al. 2023), differentiable in its learnable scales.
///
/// | Paper  | Code      | Shape           |
/// | ------ | --------- | --------------- |
/// | W      | `self`    | [rows, columns] |
/// | s1     | `grid.scales·exp(logStep)` | as `grid.scales` |
/// | ln S2  | `v2`      | [rows, columns] |
/// | ln s3  | `v3`      | [rows]          |
extension Tensor {
  /// Ŵ = s1·C, C = clamp(round(W / (s1∘S2∘s3))) on the codes of `grid`, zero points fixed.
  ///
  /// With N = W/S, M = 1 where round(N) is not clamped, G = dŴ and gZ = −s1∘N∘M∘G:
  /// dv2 = gZ, dv3 = Σ_columns gZ, dlogStep = Σ over what shares s1 of s1∘C∘G + gZ.
  public func flexRounded(_ grid: GridTable, logStep: Tensor, v2: Tensor, v3: Tensor) -> Tensor {
    precondition(v2.shape == shape && v3.count == rows && logStep.shape == grid.scales.shape)
    let (w, s2, s3) = (floats, v2.floats, v3.floats)
    let current = grid.scaled(byExponentialOf: logStep)
    return Tensor(shape: shape) { out in
      guard let out = out.baseAddress else { return }
      parallelRanges(rows, grain: max(1, elementGrain / columns)) { range in
        current.forEachRun(rows: range, columns: columns) { grid, row, run in
          let i = run.lowerBound
          Kernels.set.flexround(w + i, s2 + i, s3[row], nil, grid.parameters, out + i, run.count)
        }
      }
    }
    .recorded(.flexRound, [logStep, v2, v3]) { self.flexRoundPullback(current, v2, v3, $0) }
  }

  private func flexRoundPullback(
    _ grid: GridTable, _ v2: Tensor, _ v3: Tensor, _ dy: Tensor
  ) -> [Tensor?] {
    let (w, s2, s3, g) = (floats, v2.floats, v3.floats, dy.floats)
    let groups = grid.groups
    var dSteps = [Float](repeating: 0, count: rows * groups)
    var dRows = [Float](repeating: 0, count: rows)
    let dv2 = Tensor(shape: shape) { out in
      guard let out = out.baseAddress else { return }
      dSteps.withUnsafeMutableBufferPointer { dSteps in
        dRows.withUnsafeMutableBufferPointer { dRows in
          let (steps, sums) = (UncheckedPointer(dSteps), UncheckedPointer(dRows))
          parallelRanges(rows, grain: max(1, elementGrain / columns)) { range in
            grid.forEachRun(rows: range, columns: columns) { grid, row, run in
              let i = run.lowerBound
              var (dRow, dStep): (Float, Float) = (0, 0)
              Kernels.set.flexround_pullback(
                w + i, s2 + i, s3[row], nil, grid.parameters, g + i, out + i, &dRow, &dStep,
                run.count)
              sums.base[row] += dRow
              steps.base[i / run.count] = dStep
            }
          }
        }
      }
    }
    return [grid.summed(dSteps, rows: rows), dv2, Tensor(dRows, shape: v3.shape)]
  }
}

/// A base address captured by a parallel body that writes only its own elements.
struct UncheckedPointer {
  let base: UnsafeMutablePointer<Float>

  init(_ buffer: UnsafeMutableBufferPointer<Float>) {
    guard let base = buffer.baseAddress else { preconditionFailure("an empty weight matrix") }
    self.base = base
  }
}

extension GridTable {
  /// The same grids with each step multiplied by eˣ; x = 0 leaves every bit as it is.
  public func scaled(byExponentialOf x: Tensor) -> GridTable {
    var result = self
    result.scales = scales.times(x.detached.exp())
    return result
  }

  /// One value per row and group of a matrix [rows, …], summed over what shares a grid.
  func summed(_ values: [Float], rows: Int) -> Tensor {
    let perRow = Tensor(values, shape: [rows, groups])
    return (scales.shape[0] == 1 ? perRow.summedOverRows() : perRow).relabeled(scales.shape)
  }
}
