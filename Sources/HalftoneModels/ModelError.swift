/// A configuration or its tensors cannot be used: which key or tensor, what was found, what to do.
public struct ModelError: Error, Equatable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
