/// What is wrong with a checkpoint or its output: which file, which tensor, and what to do.
public struct CheckpointError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The kind of failure, from which a program chooses its exit status.
  public enum Code: Sendable, Equatable {
    /// A file or tensor that must be there is not.
    case missing
    /// The bytes do not follow their format, or hold what cannot be computed with.
    case malformed
    /// The output cannot be created.
    case cannotCreate
    /// Reading or writing failed on the way.
    case io
  }

  public let code: Code
  /// Names the file, the tensor where there is one, and the remedy.
  public let message: String

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }
}
