import ArgumentParser
import HalftoneMethods
import HalftonePipeline

struct MethodsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "methods",
    abstract: "List the methods that recipes can name, with their parameters.",
    discussion: """
      Examples:
        halftone methods
        halftone methods --json
      """)

  @OptionGroup var common: CommonOptions

  struct Entry: Encodable {
    var name: String
    var summary: String
    var citation: String
    var needsCalibration: Bool
    /// The default of each parameter.
    var parameters: [String: String]

    enum CodingKeys: String, CodingKey {
      case name, summary, citation, parameters
      case needsCalibration = "needs_calibration"
    }
  }

  func run() throws {
    let entries = try MethodCatalog.all.map { method in
      Entry(
        name: method.name, summary: method.summary, citation: method.citation,
        needsCalibration: method.needsCalibration,
        parameters: try Recipe.parameters(of: method.init()))
    }
    if common.json { return try StandardOutput.json(["methods": entries]) }
    for entry in entries {
      StandardOutput.line(entry.name)
      StandardOutput.line("  \(entry.summary)")
      StandardOutput.line("  \(entry.citation)")
      for (name, value) in entry.parameters.sorted(by: { $0.key < $1.key }) {
        StandardOutput.line("  \(name): \(value)")
      }
    }
  }
}
