/// Two's complement integers of 2 to 8 bits, the full range −2^(b−1)...2^(b−1)−1.
public struct IntegerFormat: NumberFormat, Equatable {
  public let bits: Int

  public init(bits: Int) throws(SchemeError) {
    guard (2...8).contains(bits) else {
      throw SchemeError("integers of \(bits) bits are not supported; use 2 to 8")
    }
    self.bits = bits
  }

  private init(known bits: Int) { self.bits = bits }

  public static let int4 = IntegerFormat(known: 4)
  public static let int8 = IntegerFormat(known: 8)

  public var name: String { "int\(bits)" }
  public var low: Int { -(1 << (bits - 1)) }
  public var high: Int { (1 << (bits - 1)) - 1 }
  public var values: CodeValues { .uniform(low: low, high: high) }
}
