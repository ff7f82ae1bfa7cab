/// A run that cannot be: what is wrong, where, and what to do about it.
public struct PipelineError: Error, Equatable, CustomStringConvertible, Sendable {
  /// The kind of failure, for callers that act on it.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    private enum Kind: String {
      case usage, badInput, missing, cannotCreate, inputOutput, interrupted
    }

    private let kind: Kind

    /// The request contradicts itself or lacks something.
    public static let usage = Code(kind: .usage)
    /// A file was read and its content cannot be used.
    public static let badInput = Code(kind: .badInput)
    /// A file is not there.
    public static let missing = Code(kind: .missing)
    /// The output cannot be made where it was asked for.
    public static let cannotCreate = Code(kind: .cannotCreate)
    /// Reading or writing failed on the way.
    public static let inputOutput = Code(kind: .inputOutput)
    /// The user stopped the run; it can be resumed.
    public static let interrupted = Code(kind: .interrupted)

    public var description: String { kind.rawValue }
  }

  public let code: Code
  /// What is wrong, and what to do about it.
  public let message: String
  /// The file, layer or option the message is about.
  public let place: String

  public init(_ code: Code, _ message: String, at place: String) {
    self.code = code
    self.message = message
    self.place = place
  }

  public var description: String { "\(place): \(message)" }
}
