import Foundation

extension Recipe {
  /// The names of the recipes that come with Halftone, in alphabetical order.
  public static var shippedNames: [String] { shippedRecipes.keys.sorted() }

  /// The YAML of a shipped recipe, or nil.
  public static func shippedText(_ name: String) -> String? { shippedRecipes[name] }

  /// What a shipped recipe is for: its first line.
  public static func shippedSummary(_ name: String) -> String {
    let line = shippedRecipes[name]?.split(separator: "\n").first ?? ""
    return String(line.drop { $0 == "#" || $0 == " " })
  }

  /// The recipe in a file, or the shipped recipe of that name.
  ///
  /// A word without "/" and without the ending .yaml or .yml is a name.
  /// - Throws: ``RecipeError`` for one that cannot be followed; ``PipelineError`` if there is none.
  public static func load(_ nameOrPath: String) throws -> Recipe {
    let isPath =
      nameOrPath.contains("/") || nameOrPath.hasSuffix(".yaml") || nameOrPath.hasSuffix(".yml")
    guard isPath else { return try shipped(nameOrPath) }
    guard FileManager.default.fileExists(atPath: nameOrPath) else {
      throw PipelineError(.missing, "no such recipe file", at: nameOrPath)
    }
    let file = try TextFile.read(nameOrPath, largest: largestFile)
    return try Recipe(yaml: file, source: nameOrPath)
  }

  private static func shipped(_ name: String) throws -> Recipe {
    guard let text = shippedRecipes[name] else {
      throw PipelineError(
        .usage,
        "there is no recipe of this name; \(NearestWord.hint(name, in: shippedNames)) "
          + "A file's name ends in .yaml",
        at: name)
    }
    return try Recipe(yaml: text, source: name)
  }
}
