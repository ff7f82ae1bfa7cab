/// A tokenizer file that cannot be used: what is wrong, where, and what would be accepted.
public struct TokenizerError: Error, Equatable, CustomStringConvertible, Sendable {
  /// The kind of failure, for callers that act on it.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    private enum Kind: String {
      case missing, unreadable, malformed, unsupported, inconsistent
    }

    private let kind: Kind

    /// No file of the expected name exists.
    public static let missing = Code(kind: .missing)

    /// The file exists and its bytes cannot be read.
    public static let unreadable = Code(kind: .unreadable)

    /// The bytes or the JSON do not follow the format.
    public static let malformed = Code(kind: .malformed)

    /// The file is well formed and asks for a component that is not implemented.
    public static let unsupported = Code(kind: .unsupported)

    /// Two parts of the file contradict each other.
    public static let inconsistent = Code(kind: .inconsistent)

    public var description: String { kind.rawValue }
  }

  /// The kind of failure.
  public let code: Code

  /// What is wrong, and what to do about it.
  public let message: String

  /// The file, with the JSON path or the byte offset inside it.
  public let place: String

  /// Makes an error from its three parts.
  public init(_ code: Code, _ message: String, at place: String) {
    self.code = code
    self.message = message
    self.place = place
  }

  public var description: String { "\(place): \(message)" }
}
