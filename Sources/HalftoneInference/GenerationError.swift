/// Text cannot be generated: what was asked for, and what is possible.
public struct GenerationError: Error, Equatable, CustomStringConvertible {
  public let description: String
  /// Whether the model is at fault rather than what was asked of it.
  public let isModelFault: Bool

  public init(_ description: String, isModelFault: Bool = false) {
    self.description = description
    self.isModelFault = isModelFault
  }
}
