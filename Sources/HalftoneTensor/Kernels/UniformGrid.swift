import CHalftoneKernels

/// Equally spaced representable values: `(code − zero) · scale` for whole codes in `low...high`.
public struct UniformGrid: Sendable, Equatable {
  public var scale: Float
  public var zero: Float
  public var low: Float
  public var high: Float

  public init(scale: Float, zero: Float = 0, low: Float, high: Float) {
    self.scale = scale
    self.zero = zero
    self.low = low
    self.high = high
  }

  /// The `bits`-bit grid over the range [minimum, maximum], in the convention of compressed-tensors.
  ///
  /// Codes are −2^(b−1)...2^(b−1)−1. Symmetric: scale = max(|minimum|, |maximum|)/((2^b − 1)/2),
  /// zero 0. Asymmetric: the range is widened to hold 0, scale = (maximum − minimum)/(2^b − 1),
  /// zero = low − round(minimum/scale). A range that is empty, is not finite or has a step too small
  /// for a normal `Float` gets scale 1 and zero 0, which maps 0 to 0.
  public init(covering minimum: Float, _ maximum: Float, bits: Int, symmetric: Bool) {
    let half = Float(1 << (bits - 1))
    let steps = 2 * half - 1
    let (bottom, top) = (min(minimum, 0), max(maximum, 0))
    let scale = symmetric ? max(-bottom, top) / (steps / 2) : (top - bottom) / steps
    let usable =
      minimum.isFinite && maximum.isFinite && scale.isFinite && scale >= .leastNormalMagnitude
    self.init(scale: usable ? scale : 1, low: -half, high: half - 1)
    if usable && !symmetric {
      zero = min(max((low - bottom / scale).rounded(.toNearestOrEven), low), high)
    }
  }

  var parameters: halftone_grid {
    halftone_grid(scale: scale, zero: zero, low: low, high: high)
  }
}
