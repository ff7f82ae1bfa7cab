package import CHalftoneKernels

/// The numbers that a code can stand for: the values of a format times a scale.
///
/// Uniform without ``levels``: (code − zero)·scale for whole codes from low to high. With levels:
/// level·scale, zero 0, low and high the outer levels.
public struct ScaledGrid: Sendable, Hashable {
  public var scale: Float
  public var zero: Float
  public var low: Float
  public var high: Float
  public var levels: LevelTable?

  public init(
    scale: Float, zero: Float = 0, low: Float, high: Float, levels: LevelTable? = nil
  ) {
    self.scale = scale
    self.zero = zero
    self.low = low
    self.high = high
    self.levels = levels
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
    let usable = minimum.isFinite && maximum.isFinite && Self.isUsable(scale)
    self.init(scale: usable ? scale : 1, low: -half, high: half - 1)
    if usable && !symmetric {
      zero = min(max((low - bottom / scale).rounded(.toNearestOrEven), low), high)
    }
  }

  /// The grid of `levels` whose outermost one reaches the outer end of [minimum, maximum].
  ///
  /// scale = max(|minimum|, |maximum|)/max |level|, by the levels of one sign alone where the others lie on
  /// one side of 0; 1 for a range that is empty, is not finite or is too small for a normal `Float`.
  public init(covering minimum: Float, _ maximum: Float, levels: LevelTable) {
    let (bottom, top) = (min(minimum, 0), max(maximum, 0))
    let scale =
      levels.low < 0 && levels.high > 0
      ? max(bottom / levels.low, top / levels.high)
      : max(-bottom, top) / max(-levels.low, levels.high)
    let usable = minimum.isFinite && maximum.isFinite && Self.isUsable(scale)
    self.init(scale: usable ? scale : 1, low: levels.low, high: levels.high, levels: levels)
  }

  /// The grid over the range [minimum, maximum]: of `levels`, else of whole numbers of `bits` bits.
  public init(
    covering minimum: Float, _ maximum: Float, bits: Int, symmetric: Bool, levels: LevelTable?
  ) {
    if let levels {
      self.init(covering: minimum, maximum, levels: levels)
    } else {
      self.init(covering: minimum, maximum, bits: bits, symmetric: symmetric)
    }
  }

  private static func isUsable(_ scale: Float) -> Bool {
    scale.isFinite && scale >= .leastNormalMagnitude
  }

  package var parameters: halftone_grid {
    halftone_grid(scale: scale, zero: zero, low: low, high: high, levels: levels?.pointer)
  }
}
