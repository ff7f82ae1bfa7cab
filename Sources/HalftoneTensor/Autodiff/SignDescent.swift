extension Tensor {
  /// This leaf after one step of SignSGD: θ − rate·sign(gradient), sign(0) = 0.
  public func movedAgainstSign(of gradient: Tensor, by rate: Float) -> Tensor {
    precondition(shape == gradient.shape, "movedAgainstSign: \(shape) and \(gradient.shape)")
    let (x, g) = (floats, gradient.floats)
    return mapped { out, start, count in
      for i in 0..<count {
        let direction: Float = g[start + i] > 0 ? 1 : g[start + i] < 0 ? -1 : 0
        out[i] = x[start + i] - rate * direction
      }
    }
    .tracked()
  }
}
