/// Text cannot be generated: what was asked for, and what is possible.
public struct GenerationError: Error, Equatable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
