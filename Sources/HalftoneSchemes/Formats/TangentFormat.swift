import Foundation

/// Values in [0, 1] that lie closest near both ends: evenly spaced once tan is applied.
///
/// u(x) = tan(πa(x − ½)); code q stands for the x with u(x) = u(0) + q·(u(1) − u(0))/(2^b − 1).
///
/// After Yang et al. *DopQ-ViT: Towards Distribution-Friendly and Outlier-Aware Post-Training Quantization
/// for Vision Transformers.* 2024. <https://arxiv.org/abs/2408.03291>: a tangent mapping for softmax
/// outputs, finest near 1. The paper's formula was not at hand; this one has the property, and is ours.
public struct TangentFormat: NumberFormat, Equatable {
  public let bits: Int
  /// a: how much of the tangent's branch [0, 1] takes.
  public let bend: Float

  public static let usualBend: Float = 0.9

  public init(bits: Int, bend: Float = usualBend) throws(SchemeError) {
    guard (2...8).contains(bits) else {
      throw SchemeError("tangent numbers of \(bits) bits are not supported; use 2 to 8")
    }
    guard bend >= 0.1, bend <= 0.99 else {
      throw SchemeError("tangent numbers with a bend of \(bend) are not supported; use 0.1 to 0.99")
    }
    self.bits = bits
    self.bend = bend
  }

  public var name: String { "tan\(bits)" + (bend == Self.usualBend ? "" : "-\(bend)") }

  public var values: CodeValues {
    let last = (1 << bits) - 1
    let width = Double.pi * Double(bend)
    let end = tan(width / 2)
    return .table(
      (0...last).map { q in
        // Exactly 0 and 1 at the ends, whatever the last digits of atan are.
        guard q > 0, q < last else { return q == 0 ? 0 : 1 }
        return Float(0.5 + atan(end * (2 * Double(q) / Double(last) - 1)) / width)
      })
  }
}
