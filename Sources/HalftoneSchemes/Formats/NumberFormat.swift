public import HalftoneTensor

/// Which values a code of a few bits stands for, before scales.
///
/// A new format conforms in a file of its own and takes a line in ``NumberFormats``; nothing else that
/// exists changes.
public protocol NumberFormat: Sendable {
  /// The word recipes and reports use: "int4", "e2m1". Formats of one name are one format.
  var name: String { get }
  /// Bits per code as stored.
  var bits: Int { get }
  /// The representable values.
  var values: CodeValues { get }
  /// The codes of a matrix as files hold them, each of ``bits`` bits.
  func stored(_ codes: Tensor) -> Tensor
  /// The inverse, for codes that may come from anywhere.
  func loaded(_ codes: Tensor) -> Tensor
}

extension NumberFormat {
  public func stored(_ codes: Tensor) -> Tensor { codes }
  public func loaded(_ codes: Tensor) -> Tensor { codes }
}

/// The values of a format's codes.
public enum CodeValues: Sendable, Equatable {
  /// Whole numbers from low to high, one apart; zero points may shift them.
  case uniform(low: Int, high: Int)
  /// An entry for each code, at most 256; codes of no use stand for NaN or an infinity.
  case table([Float])
}

extension NumberFormat {
  /// The table that kernels search; nil for whole numbers one apart.
  public var levels: LevelTable? {
    guard case .table(let values) = values else { return nil }
    return LevelTable.shared(values)
  }

  /// The outer values.
  public var extent: (low: Float, high: Float) {
    if case .uniform(let low, let high) = values { return (Float(low), Float(high)) }
    return levels.map { ($0.low, $0.high) } ?? (0, 0)
  }
}

/// A scheme that cannot be: what is wrong, and what would be right.
public struct SchemeError: Error, Equatable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
