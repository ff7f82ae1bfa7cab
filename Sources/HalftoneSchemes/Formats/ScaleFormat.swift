import Foundation
public import HalftoneTensor

/// Which numbers the scales of a matrix may be.
public enum ScaleFormat: String, Sendable, CaseIterable {
  /// Any float.
  case float
  /// Powers of two, in files the eight bits of their exponent plus 127: MXFP4 and its kin.
  ///
  /// Open Compute Project, *Microscaling Formats Specification* 1.0, 2023, section 6.3.
  case e8m0
  /// 8-bit floats with a float for the whole matrix beside them: NVFP4.
  case e4m3
  /// Powers of two up to 1, times a float for each row: M2 of ZeroQuant-FP.
  ///
  /// Wu, Yao, He. *ZeroQuant-FP: A Leap Forward in LLMs Post-Training W4A8 Quantization Using Floating-Point
  /// Formats.* 2023. <https://arxiv.org/abs/2307.09782>
  case rowPowers = "pow2-row"
  /// Whole numbers, times a float for each row, with which 4-bit codes become 8-bit ones: Dual Grained
  /// Quantization.
  ///
  /// Zhang et al. *Dual Grained Quantization: Efficient Fine-Grained Quantization for LLM.* 2023.
  /// <https://arxiv.org/abs/2310.04836>
  case rowIntegers = "int-row"
  /// Dyadic numbers b/2ᶜ with b of 8 bits, so that integers are rescaled by a product and a shift.
  ///
  /// Yao et al. *HAWQ-V3: Dyadic Neural Network Quantization.* ICML 2021.
  /// <https://arxiv.org/abs/2011.10680>
  case dyadic8
  /// The same with b of 16 bits.
  case dyadic16
  /// 8-bit numbers around the mean of all, with a float for each 256 of them: QLoRA's double quantization.
  ///
  /// Dettmers, Pagnoni, Holtzman, Zettlemoyer. *QLoRA: Efficient Finetuning of Quantized LLMs.* NeurIPS
  /// 2023. <https://arxiv.org/abs/2305.14314>
  case nested
}

extension ScaleFormat {
  /// The bits that the scales of `rows` rows with `groups` scales each take in a file, floats 32 each.
  public func storedBits(rows: Int, groups: Int) -> Int {
    let count = rows * groups
    return switch self {
    case .float: 32 * count
    case .e8m0: 8 * count
    case .e4m3: 8 * count + 32
    case .rowPowers, .rowIntegers: 8 * count + 32 * rows
    case .dyadic8: 16 * count
    case .dyadic16: 24 * count
    case .nested: 8 * count + 32 * ((count + NestedScales.run - 1) / NestedScales.run) + 32
    }
  }

  /// Whether a scale depends on those of other groups, so that all are found before a weight is rounded.
  public var isJoint: Bool { hasRowUnits || self == .nested }

  /// The bits of b in scales b/2ᶜ; nil for others.
  public var dyadicBits: Int? {
    switch self {
    case .dyadic8: 8
    case .dyadic16: 16
    default: nil
    }
  }
}

/// The scales a search may choose, which are all multiples of a matrix's own.
struct ScaleRule {
  let format: ScaleFormat
  /// The float that scales of ``ScaleFormat/e4m3`` stand beside, else 1.
  let unit: Float
  /// The largest code's value.
  private let high: Float

  /// For values of magnitudes up to `largest` in codes up to `high`.
  ///
  /// The scale of the whole is that with which the largest group takes the largest scale:
  /// largest/(448·high).
  init(_ format: ScaleFormat, largest: Float, high: Float) {
    self.format = format
    self.high = high
    guard format == .e4m3 else {
      unit = 1
      return
    }
    // Files hold 1/unit: one whose inverse leads back.
    var inverse = FloatFormat.e4m3fn.extent.high * high / largest
    for _ in 0..<8 where 1 / (1 / inverse) != inverse { inverse = 1 / (1 / inverse) }
    let usable = inverse.isFinite && inverse > 0 && (1 / inverse) >= .leastNormalMagnitude
    unit = usable ? 1 / inverse : 1
  }

  fileprivate static let e4m3 = LevelTable.shared((0..<256).map(FloatFormat.e4m3fn.value))

  /// `scale` in this format, which is to take the largest code to `reach`.
  ///
  /// A power of two has the exponent of the reach less that of the largest code, so that values near the
  /// end may be clamped; other scales are rounded to nearest, none to 0.
  func rounded(_ scale: Float, reach: Float) -> Float {
    switch format {
    case .float, .rowPowers, .rowIntegers, .nested: return scale
    case .dyadic8, .dyadic16:
      let bits = format.dyadicBits ?? 16
      return Float(Dyadic(nearest: Double(scale), bits: bits).value)
    case .e8m0:
      guard reach.isNormal else { return 1 }
      // 2⁻¹²⁷, the least that files hold, is no normal float.
      let exponent = max(-126, min(127, reach.exponent - high.exponent))
      return Float(sign: .plus, exponent: exponent, significand: 1)
    case .e4m3: return max(Self.e4m3.nearest(to: scale / unit).value, 0x1p-9) * unit
    }
  }

  /// Fractions of the whole range that a search looks at, falling; `count` where scales are not so few that
  /// neighbours among those would be the same.
  func fractions(_ count: Int) -> [Float] {
    format == .e8m0
      ? [2, 1, 0.5, 0.25, 0.125]
      : stride(from: count, through: 1, by: -1).map { Float($0) / Float(count) }
  }
}

extension GridTable {
  /// The tables of ``QuantizedTensor/levels`` for `scales`, of which these are the grids' own: the scales as
  /// stored, and what all of them are multiplied with.
  public func levels(_ scales: Tensor? = nil) -> [Tensor] {
    let scales = scales ?? self.scales
    if let rowUnits {
      let (units, groups) = (rowUnits.values, self.groups)
      let multiples = scales.values.enumerated().map { at, scale -> Float in
        let ratio = scale / units[at / groups]
        guard ratio <= 0.75 else { return ratio.rounded() }
        return Float(sign: .plus, exponent: Int(log2(ratio).rounded()), significand: 1)
      }
      return [Tensor(multiples, shape: scales.shape), rowUnits]
    }
    guard unit != 1 else { return [scales] }
    let quotients = scales.values.map { $0 / unit }
    let e4m3 = ScaleRule.e4m3
    let grid = ScaledGrid(scale: 1, low: e4m3.low, high: e4m3.high, levels: e4m3)
    let stored = Tensor(shape: scales.shape) { out in
      quotients.withUnsafeBufferPointer { Kernels.roundTrip($0, grid, out) }
    }
    return [stored, Tensor([unit], shape: [1, 1])]
  }
}
