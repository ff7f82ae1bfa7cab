import Foundation

/// A fraction b/2ᶜ, with which integers are rescaled by a product and a shift.
///
/// Yao et al. *HAWQ-V3: Dyadic Neural Network Quantization.* ICML 2021.
/// <https://arxiv.org/abs/2011.10680>, where b has 31 bits: of M = m·2ˣ with ½ ≤ m < 1, b = ⌊m·2³¹ + ½⌋ and
/// c = 31 − x.
public struct Dyadic: Sendable, Equatable {
  /// b, at least 1.
  public let multiplier: Int32
  /// c, from 0.
  public let shift: Int

  public init(multiplier: Int32, shift: Int) {
    precondition(multiplier > 0 && shift >= 0, "\(multiplier)/2^\(shift)")
    self.multiplier = multiplier
    self.shift = shift
  }

  /// The fraction nearest to `x` > 0 whose b has `bits` bits, the first of which is 1; halves go up.
  ///
  /// What is too large for c = 0 becomes 2^bits − 1, see ``largest(bits:)``.
  public init(nearest x: Double, bits: Int) {
    precondition((2...31).contains(bits) && x > 0 && x.isFinite, "\(x) in \(bits) bits")
    guard x < Double(Self.largest(bits: bits)) else {
      self.init(multiplier: Int32((1 << bits) - 1), shift: 0)
      return
    }
    var exponent = Int(x.exponent) + 1
    var multiplier = Int((scalbn(x, bits - exponent) + 0.5).rounded(.down))
    if multiplier == 1 << bits { (multiplier, exponent) = (multiplier / 2, exponent + 1) }
    let shift = bits - exponent
    guard shift >= 0 else {
      self.init(multiplier: Int32((1 << bits) - 1), shift: 0)
      return
    }
    self.init(multiplier: Int32(multiplier), shift: shift)
  }

  /// 2^bits − 1.
  public static func largest(bits: Int) -> Float { Float((1 << bits) - 1) }

  public var value: Double { scalbn(Double(multiplier), -shift) }

  /// ⌊a·b/2ᶜ + ½⌋ in integers: halves go up for either sign.
  public func scaled(_ a: Int32) -> Int64 {
    let product = Int64(a) * Int64(multiplier)
    // Magnitudes below 2⁶² shifted by 63 and more are less than a half.
    guard shift > 0, shift < 63 else { return shift == 0 ? product : 0 }
    return (product + (1 << Int64(shift - 1))) >> Int64(shift)
  }

  /// The fraction that the product of two stands for, rounded to `bits` bits: the scale of a layer's sums
  /// from those of its weights and inputs.
  public func times(_ other: Dyadic, bits: Int) -> Dyadic {
    Dyadic(nearest: value * other.value, bits: bits)
  }
}

extension ScaleFormat {
  /// - Throws: `SchemeError` for a scale beyond the largest of this format.
  package func check(_ scales: [Float]) throws(SchemeError) {
    guard let bits = dyadicBits, let largest = scales.max() else { return }
    guard largest < Dyadic.largest(bits: bits) else {
      throw SchemeError(
        "scales: \(rawValue) reach \(Int(Dyadic.largest(bits: bits))), and these weights need more; use "
          + "scales: float")
    }
  }
}
