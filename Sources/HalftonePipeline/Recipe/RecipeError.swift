/// A recipe that cannot be followed: which line, what is wrong, what would be right.
public struct RecipeError: Error, Equatable, CustomStringConvertible, Sendable {
  /// The recipe's file or name.
  public let file: String
  /// Counted from 1; 0 for the recipe as a whole.
  public let line: Int
  public let message: String

  public init(file: String, line: Int, _ message: String) {
    self.file = file
    self.line = line
    self.message = message
  }

  public var description: String {
    line > 0 ? "\(file):\(line): \(message)" : "\(file): \(message)"
  }
}
