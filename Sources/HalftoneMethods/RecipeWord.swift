/// A hyperparameter that recipes write as one of a few words.
public protocol RecipeWord: RawRepresentable<String>, Codable, CaseIterable, Sendable {}

extension RecipeWord {
  /// - Throws: `DecodingError.dataCorrupted` naming the words there are.
  public init(from decoder: any Decoder) throws {
    let word = try decoder.singleValueContainer().decode(String.self)
    guard let value = Self(rawValue: word) else {
      let words = Self.allCases.map(\.rawValue).joined(separator: ", ")
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "must be one of \(words)"))
    }
    self = value
  }
}
