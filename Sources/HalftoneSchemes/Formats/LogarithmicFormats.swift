import Foundation

/// Powers of two, or of √2, downwards from 1, and 0: values that are not negative, as softmax makes them.
///
/// Code q stands for 2^(−q), or 2^(−q/2) with half steps; the last code stands for 0. Numbers go to the
/// nearest value, while log2 quantizers round log₂x: their bound between 1 and ½ is √½, here it is ¾.
///
/// Miyashita, Lee, Murmann. *Convolutional Neural Networks using Logarithmic Data Representation.* 2016.
/// <https://arxiv.org/abs/1603.01025>. Half steps: Li et al. *RepQ-ViT.* ICCV 2023.
/// <https://arxiv.org/abs/2212.08254>. With a sign, powers of two and 0 are the floats without mantissa
/// bits, ``FloatFormat``.
public struct UnsignedLog: NumberFormat, Equatable {
  public let bits: Int
  /// Whether values are a factor √2 apart.
  public let halfSteps: Bool

  public init(bits: Int, halfSteps: Bool = false) throws(SchemeError) {
    guard (2...6).contains(bits) || bits <= 7 && bits > 1 && halfSteps else {
      throw SchemeError(
        "powers of two of \(bits) bits are not supported; use 2 to 6, with half steps 7")
    }
    self.bits = bits
    self.halfSteps = halfSteps
  }

  public var name: String { "ulog\(bits)\(halfSteps ? "h" : "")" }

  public var values: CodeValues {
    let last = (1 << bits) - 1
    return .table(
      (0...last).map { $0 == last ? 0 : Float(exp2(-Double($0) / (halfSteps ? 2 : 1))) })
  }
}

/// Twin-log: for each sign 2^(b−1) values whose logarithms, shifted by η, are one step apart.
///
/// Yang et al. *LRQ-DiT: Log-Rotation Post-Training Quantization of Diffusion Transformers.* 2025.
/// <https://arxiv.org/abs/2508.03485>
///
/// | Paper, code | Here                                    |
/// | ----------- | --------------------------------------- |
/// | η           | `shift`, in units of the largest value  |
/// | q           | the low b − 1 bits of the code          |
/// | δ           | log((1 + η)/η)/(2^(b−1) − ½)             |
///
/// |value(q)| = η·((1 + η)/η)^t − η with t = (q + ½)/(2^(b−1) − ½), from near 0 to 1. There is no 0. The
/// released code keeps a step and an offset for each sign, of which the lowest and the highest weight
/// decide; here both signs share a scale, which is searched, and numbers go to the nearest value rather
/// than to the nearest logarithm.
public struct TwinLog: NumberFormat, Equatable {
  public let bits: Int
  /// η.
  public let shift: Float

  /// Of those with one digit, the best on normal and on Laplace numbers of 3 and 4 bits together.
  public static let usualShift: Float = 0.3

  public init(bits: Int, shift: Float = usualShift) throws(SchemeError) {
    guard (3...8).contains(bits) else {
      throw SchemeError("twin-log numbers of \(bits) bits are not supported; use 3 to 8")
    }
    guard shift >= 0.001, shift <= 10 else {
      throw SchemeError(
        "twin-log numbers with a shift of \(shift) are not supported; use 0.001 to 10")
    }
    self.bits = bits
    self.shift = shift
  }

  public var name: String { "twin-log\(bits)" + (shift == Self.usualShift ? "" : "-\(shift)") }

  public var values: CodeValues {
    let half = 1 << (bits - 1)
    let shift = Double(shift)
    let magnitudes = (0..<half).map { q in
      let t = (Double(q) + 0.5) / (Double(half) - 0.5)
      return Float(shift * pow((1 + shift) / shift, t) - shift)
    }
    return .table(magnitudes + magnitudes.map { -$0 })
  }
}
