// Elements taken at random from one of two tensors, as in QDrop (Wei et al. 2022).

extension Tensor {
  /// y = self where a coin of probability `kept` falls so, else `other`; each gets dy where it was taken.
  ///
  /// The coin of element i depends on `seed` and i alone.
  public func mixed(with other: Tensor, keeping kept: Float, seed: UInt64) -> Tensor {
    precondition(shape == other.shape, "mixed: \(shape) and \(other.shape)")
    let coin = Coin(seed: seed, probability: kept)
    let (a, b) = (floats, other.floats)
    return mapped { out, start, count in
      for i in 0..<count { out[i] = coin(start + i) ? a[start + i] : b[start + i] }
    }
    .recorded(.mix, [self, other]) { dy in
      let g = dy.floats
      func masked(_ side: Bool) -> Tensor {
        self.mapped { out, start, count in
          for i in 0..<count { out[i] = coin(start + i) == side ? g[start + i] : 0 }
        }
      }
      return [needsGradient ? masked(true) : nil, other.needsGradient ? masked(false) : nil]
    }
  }
}

/// Coins by position, so that the threads that toss them need not agree on an order.
private struct Coin: Sendable {
  let seed: UInt64
  let threshold: UInt64

  init(seed: UInt64, probability: Float) {
    self.seed = seed
    threshold = UInt64(Double(min(max(probability, 0), 1)) * 0x1p32)
  }

  /// The finaliser of splitmix64 on seed and position; its upper half against the threshold.
  func callAsFunction(_ i: Int) -> Bool {
    var z = seed &+ UInt64(truncatingIfNeeded: i) &* 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return (z ^ (z >> 31)) >> 32 < threshold
  }
}
