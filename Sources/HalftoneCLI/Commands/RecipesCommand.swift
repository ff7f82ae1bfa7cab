import ArgumentParser
import HalftonePipeline

struct RecipesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recipes",
    abstract: "List the recipes that come with Halftone, or show one.",
    discussion: """
      Examples:
        halftone recipes
        halftone recipes show gptq-w4a16 > my.yaml
      """,
    subcommands: [List.self, Show.self], defaultSubcommand: List.self)

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the shipped recipes.")

    @OptionGroup var common: CommonOptions

    struct Entry: Encodable {
      var name: String
      var summary: String
    }

    func run() throws {
      let entries = Recipe.shippedNames.map { name in
        Entry(name: name, summary: Recipe.shippedSummary(name))
      }
      if common.json { return try StandardOutput.json(["recipes": entries]) }
      let rows = entries.map { [$0.name, $0.summary] }
      TextTable.lines(["recipe", "what it does"], rows).forEach(StandardOutput.line)
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the YAML of a recipe.")

    @Argument(help: "A shipped recipe's name, or a recipe file.")
    var name: String

    @OptionGroup var common: CommonOptions

    struct Document: Encodable {
      var name: String
      var yaml: String
      /// With every default written out.
      var canonical: String
    }

    func run() throws {
      let recipe = try Recipe.load(name)
      let yaml = Recipe.shippedText(name) ?? recipe.canonicalText
      if common.json {
        return try StandardOutput.json(
          Document(name: name, yaml: yaml, canonical: recipe.canonicalText))
      }
      StandardOutput.write(yaml)
    }
  }
}
