import CHalftoneKernels

// Functions of one element.

extension Tensor {
  /// y = eˣ; dx = y∘dy.
  public func exp() -> Tensor {
    let x = floats
    let y = mapped { Kernels.set.exp(x + $1, $0, $2) }
    return y.recorded(.exp, [self]) { [y.times($0)] }
  }

  /// y = ln x; dx = dy / x.
  public func log() -> Tensor {
    let x = floats
    return mapped { Kernels.set.log(x + $1, $0, $2) }.recorded(.log, [self]) { dy in
      let (x, g) = (self.floats, dy.floats)
      return [mapped { for i in 0..<$2 { $0[i] = g[$1 + i] / x[$1 + i] } }]
    }
  }

  /// y = σ(x) = 1 / (1 + e⁻ˣ); dx = y∘(1 − y)∘dy.
  public func sigmoid() -> Tensor {
    let x = floats
    let y = mapped { Kernels.set.sigmoid(x + $1, $0, $2) }
    return y.recorded(.sigmoid, [self]) { dy in
      let (y, g) = (y.floats, dy.floats)
      return [mapped { for i in 0..<$2 { $0[i] = y[$1 + i] * (1 - y[$1 + i]) * g[$1 + i] } }]
    }
  }

  /// y = x·σ(x); dx = σ(x)·(1 + x·(1 − σ(x)))∘dy.
  public func silu() -> Tensor {
    let x = floats
    let gate = sigmoid().detached
    return gate.times(detached).recorded(.silu, [self]) { dy in
      let (s, g) = (gate.floats, dy.floats)
      return [
        mapped {
          for i in 0..<$2 { $0[i] = s[$1 + i] * (1 + x[$1 + i] * (1 - s[$1 + i])) * g[$1 + i] }
        }
      ]
    }
  }

  /// y = gate·σ(gate)∘up, the SwiGLU product of Shazeer (2020).
  public static func siluMultiply(gate: Tensor, up: Tensor) -> Tensor {
    precondition(gate.shape == up.shape, "siluMultiply: \(gate.shape) and \(up.shape)")
    let (a, b) = (gate.floats, up.floats)
    return gate.mapped { Kernels.set.silu_multiply(a + $1, b + $1, $0, $2) }
      .recorded(.siluMultiply, [gate, up]) { dy in
        let (a, b, g) = (gate.floats, up.floats, dy.floats)
        var dup: Tensor?
        let dgate = Tensor(shape: gate.shape) { dgate in
          dup = Tensor(shape: gate.shape) { dup in
            guard let da = dgate.baseAddress, let db = dup.baseAddress else { return }
            parallelRanges(dgate.count, grain: elementGrain) { r in
              let i = r.lowerBound
              Kernels.set.silu_multiply_pullback(a + i, b + i, g + i, da + i, db + i, r.count)
            }
          }
        }
        return [dgate, dup]
      }
  }

  /// y = min(max(x, low), high); dx = dy where low ≤ x ≤ high, else 0.
  public func clamped(to bounds: ClosedRange<Float>) -> Tensor {
    let x = floats
    return mapped { Kernels.set.clamp(x + $1, bounds.lowerBound, bounds.upperBound, $0, $2) }
      .recorded(.clamp, [self]) { dy in
        let (x, g) = (self.floats, dy.floats)
        return [mapped { for i in 0..<$2 { $0[i] = bounds.contains(x[$1 + i]) ? g[$1 + i] : 0 } }]
      }
  }

  /// y = x rounded to nearest, ties to even; dx = dy (straight through).
  public func rounded() -> Tensor {
    let x = floats
    return mapped { Kernels.set.round(x + $1, $0, $2) }.recorded(.round, [self]) { [$0] }
  }
}
