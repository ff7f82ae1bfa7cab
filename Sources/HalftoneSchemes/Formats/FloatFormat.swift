import Foundation

/// Floating-point numbers of 3 to 8 bits: a sign, E exponent bits and M mantissa bits, with subnormals.
///
/// With the exponent field e and the mantissa field m, both read as whole numbers, a code stands for
/// ±2^(e−bias)·(1 + m/2^M), or ±2^(1−bias)·m/2^M where e = 0. From the high bit down a code holds sign,
/// exponent and mantissa. The bias is 2^(E−1) − 1 unless given; a scale beside the codes can stand for
/// any bias, so that another one matters only where files state it.
///
/// E2M1, E2M3, E3M2, E4M3 and E5M2 are those of the Open Compute Project's *Microscaling Formats
/// Specification* 1.0 (2023) and *8-bit Floating Point Specification* (2023). E1My is a sign and a whole number of M + 1
/// bits, times 2^(1−M−bias).
public struct FloatFormat: NumberFormat, Equatable {
  /// E.
  public let exponentBits: Int
  /// M.
  public let mantissaBits: Int
  public let bias: Int
  public let specials: Specials

  /// Which codes stand for no finite number.
  public enum Specials: String, Sendable, CaseIterable {
    /// None.
    case none = ""
    /// The one of each sign with all bits set is NaN: "FN", finite only.
    case notANumber = "fn"
    /// Those with the largest exponent: ±infinity with mantissa 0, else NaN, as in IEEE 754.
    case ieee = "ieee"
    /// The code of −0 is NaN: "FNUZ", finite only and unsigned zero.
    case negativeZero = "fnuz"
  }

  /// - Throws: `SchemeError` unless there are 3 to 8 bits and an exponent bit among them, the bias is one
  ///   that `Float` holds the values of, and finite values besides 0 are left.
  public init(
    exponentBits: Int, mantissaBits: Int, bias: Int? = nil, specials: Specials = .none
  ) throws(SchemeError) {
    guard (1...7).contains(exponentBits), (0...6).contains(mantissaBits),
      (2...7).contains(exponentBits + mantissaBits)
    else {
      throw SchemeError(
        "floats of \(exponentBits) exponent and \(mantissaBits) mantissa bits are not supported; use 1 to "
          + "7 and 0 to 6, with the sign 3 to 8 bits")
    }
    guard specials != .ieee || exponentBits > 1 else {
      throw SchemeError("floats with infinities need 2 or more exponent bits")
    }
    let bias = bias ?? (1 << (exponentBits - 1)) - 1
    guard (0...63).contains(bias) else {
      throw SchemeError("floats with a bias of \(bias) are not supported; use 0 to 63")
    }
    self.exponentBits = exponentBits
    self.mantissaBits = mantissaBits
    self.bias = bias
    self.specials = specials
  }

  public var bits: Int { 1 + exponentBits + mantissaBits }

  /// "e2m1", "e4m3fn", with another bias than usual "e4m3b8fn".
  ///
  /// "e5m2" is the one with infinities; where that or E4M3 use all codes for numbers, "e5m2all" and
  /// "e4m3all".
  public var name: String {
    let usual = (1 << (exponentBits - 1)) - 1
    let stem = "e\(exponentBits)m\(mantissaBits)"
    let suffix =
      switch (stem, specials) {
      case ("e5m2", .ieee) where bias == usual: ""
      case ("e5m2", .none), ("e4m3", .none): "all"
      default: specials.rawValue
      }
    return stem + (bias == usual ? "" : "b\(bias)") + suffix
  }

  public var values: CodeValues { .table((0..<(1 << bits)).map(value)) }

  /// What `code`, 0 to 2^bits − 1, stands for.
  public func value(_ code: Int) -> Float {
    let mantissa = code % (1 << mantissaBits)
    let exponent = (code >> mantissaBits) % (1 << exponentBits)
    let isNegative = code >> (exponentBits + mantissaBits) == 1
    if let special = special(isNegative, exponent, mantissa) { return special }
    let fraction = Double(mantissa) / Double(1 << mantissaBits)
    let size =
      exponent == 0
      ? scalbn(fraction, 1 - bias) : scalbn(1 + fraction, exponent - bias)
    return Float(isNegative ? -size : size)
  }

  private func special(_ isNegative: Bool, _ exponent: Int, _ mantissa: Int) -> Float? {
    let isLast = exponent == (1 << exponentBits) - 1
    switch specials {
    case .none: return nil
    case .notANumber: return isLast && mantissa == (1 << mantissaBits) - 1 ? .nan : nil
    case .ieee:
      guard isLast else { return nil }
      return mantissa > 0 ? .nan : isNegative ? -.infinity : .infinity
    case .negativeZero: return isNegative && exponent == 0 && mantissa == 0 ? .nan : nil
    }
  }
}

extension FloatFormat {
  /// FP8 for weights and activations: bias 7, up to 448, the code of all ones NaN.
  public static let e4m3fn = known(4, 3, .notANumber)
  /// FP8 with the range of half precision: bias 15, up to 57,344, infinities and NaN.
  public static let e5m2 = known(5, 2, .ieee)
  /// FP4: 0, 0.5, 1, 1.5, 2, 3, 4, 6.
  public static let e2m1 = known(2, 1, .none)
  /// FP6 up to 7.5.
  public static let e2m3 = known(2, 3, .none)
  /// FP6 up to 28.
  public static let e3m2 = known(3, 2, .none)

  private static func known(_ exponent: Int, _ mantissa: Int, _ specials: Specials) -> FloatFormat {
    guard
      let format = try? FloatFormat(
        exponentBits: exponent, mantissaBits: mantissa, specials: specials)
    else { preconditionFailure("e\(exponent)m\(mantissa)") }
    return format
  }
}
