import ArgumentParser
import HalftoneMethods
import HalftonePipeline

struct MethodsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "methods",
    abstract: "List the methods and other steps that recipes can name, with their parameters.",
    discussion: """
      Examples:
        halftone methods
        halftone methods --json
      """)

  @OptionGroup var common: CommonOptions

  struct Entry: Encodable {
    var name: String
    /// "transform", "method" or "compensator".
    var kind: String
    var summary: String
    var citation: String
    var needsCalibration: Bool
    /// The default of each parameter.
    var parameters: [String: String]

    enum CodingKeys: String, CodingKey {
      case name, kind, summary, citation, parameters
      case needsCalibration = "needs_calibration"
    }
  }

  func run() throws {
    let entries =
      try MethodCatalog.transforms.map { try Self.entry($0, "transform") }
      + MethodCatalog.all.map { try Self.entry($0, "method") }
      + MethodCatalog.compensators.map { try Self.entry($0, "compensator") }
    if common.json { return try StandardOutput.json(["methods": entries]) }
    for entry in entries {
      let kind = entry.kind == "method" ? "" : " (\(entry.kind))"
      StandardOutput.line(entry.name + kind)
      StandardOutput.line("  \(entry.summary)")
      StandardOutput.line("  \(entry.citation)")
      for (name, value) in entry.parameters.sorted(by: { $0.key < $1.key }) {
        StandardOutput.line("  \(name): \(value)")
      }
    }
  }

  private static func entry(_ step: any RecipeStep.Type, _ kind: String) throws -> Entry {
    Entry(
      name: step.name, kind: kind, summary: step.summary, citation: step.citation,
      needsCalibration: step.needsCalibration,
      parameters: try Recipe.parameters(of: step.init()))
  }
}
