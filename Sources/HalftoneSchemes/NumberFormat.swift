/// Which values a code of a few bits stands for, before scales.
///
/// A new format conforms in a file of its own; nothing that exists changes.
public protocol NumberFormat: Sendable {
  /// The word recipes and reports use: "int4", "e2m1".
  var name: String { get }
  /// Bits per code as stored.
  var bits: Int { get }
  /// The representable values.
  var values: CodeValues { get }
}

/// The values of a format's codes.
public enum CodeValues: Sendable, Equatable {
  /// Whole numbers from low to high, one apart; zero points may shift them.
  case uniform(low: Int, high: Int)
  /// An entry for each code.
  case table([Float])
}

/// Two's complement integers of 2 to 8 bits, the full range −2^(b−1)...2^(b−1)−1.
public struct IntegerFormat: NumberFormat, Equatable {
  public let bits: Int

  public init(bits: Int) throws(SchemeError) {
    guard (2...8).contains(bits) else {
      throw SchemeError("integers of \(bits) bits are not supported; use 2 to 8")
    }
    self.bits = bits
  }

  public var name: String { "int\(bits)" }
  public var low: Int { -(1 << (bits - 1)) }
  public var high: Int { (1 << (bits - 1)) - 1 }
  public var values: CodeValues { .uniform(low: low, high: high) }
}

/// A scheme that cannot be: what is wrong, and what would be right.
public struct SchemeError: Error, Equatable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
