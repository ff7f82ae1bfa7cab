/// A model cannot be measured: what was asked for, where it failed, what to do.
public struct EvaluationError: Error, Equatable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
