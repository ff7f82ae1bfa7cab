import Foundation

/// What one multiply-accumulate unit costs in hardware for numbers of a format on both sides.
///
/// The sum is exact: a fixed-point accumulator wide enough for a dot product of n terms.
///
/// | Symbol    | Meaning                                                                   |
/// | --------- | ------------------------------------------------------------------------- |
/// | r         | bits of an integer                                                        |
/// | E, M      | exponent and mantissa bits of a float                                     |
/// | A         | bits of the accumulator                                                   |
/// | P, S      | bits of an aligned product, and the number of places it may be shifted to |
///
/// Accumulators: A = 2r + ⌈log₂n⌉ + 1 for integers; 2·(2^E + M) + ⌈log₂n⌉ − 1 for floats, as the audit of
/// *Low-Precision Floating-Point and Integer Formats on FPGAs* (<https://arxiv.org/abs/2311.12359>) counts
/// them: a finite float spans 2^E − 1 + M binary places.
///
/// Gates, in gates of two inputs, 6 for a cell of a multiplier, 5 for a bit of an adder, c for a bit of a
/// multiplexer of two: 6r² + 5A for integers; 6(M + 1)² + 5(E + 1) + c·P·⌈log₂S⌉ + 5A for floats with P =
/// 2·2^E − 2 + 2M and S = 2·2^E − 3. c is 2.48, with which E4M3 costs 1.53 times INT8, the figure that *FP8
/// versus INT8* (<https://arxiv.org/abs/2303.17951>) gives for an accumulator of this kind; with 3, that of a
/// plain multiplexer, it is 1.71.
///
/// Lookup tables of six inputs: r²/2 + A for integers; (M + 1)²/2 + E + 1 + k·P·⌈log₂S⌉ + A for floats, one
/// table for two cells of a multiplier or for a bit of an adder, and k = 0.177 from the same ratio. Neither
/// was measured on a device: the order of formats means something, the last digits nothing.
public struct MultiplierCost: Sendable, Equatable {
  /// A.
  public let accumulatorBits: Int
  /// Gates of two inputs.
  public let gates: Double
  /// Lookup tables of six inputs, by the proxy above.
  public let lookupTables: Double

  /// For dot products of `length` terms; nil for formats that are neither integers nor floats.
  public init?(_ format: any NumberFormat, length: Int = 4608) {
    let carry = length > 1 ? Int.bitWidth - (length - 1).leadingZeroBitCount : 0
    switch format {
    case let integer as IntegerFormat:
      let bits = Double(integer.bits)
      accumulatorBits = 2 * integer.bits + carry + 1
      gates = 6 * bits * bits + 5 * Double(accumulatorBits)
      lookupTables = bits * bits / 2 + Double(accumulatorBits)
    case let float as FloatFormat:
      // Accumulators of more than a few hundred bits are of no use, but their cost is a number.
      let (span, mantissa) = (1 << float.exponentBits, float.mantissaBits)
      accumulatorBits = 2 * (span + mantissa) + carry - 1
      let cells = Double((mantissa + 1) * (mantissa + 1))
      let width = Double(2 * span - 2 + 2 * mantissa)
      let stages = ceil(log2(Double(max(1, 2 * span - 3))))
      let (adder, sum) = (Double(float.exponentBits + 1), Double(accumulatorBits))
      gates = 6 * cells + 5 * adder + 2.48 * width * stages + 5 * sum
      lookupTables = cells / 2 + adder + 0.177 * width * stages + sum
    default: return nil
    }
  }
}
