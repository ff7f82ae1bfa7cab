import ArgumentParser
import HalftonePipeline

/// What quantize and plan have in common.
struct RecipeOptions: ParsableArguments {
  @Option(help: ArgumentHelp("A shipped recipe's name, or a recipe file.", valueName: "name|file"))
  var recipe: String

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("UTF-8 texts to learn from, joined in this order.", valueName: "file"))
  var calibration: [String] = []

  @Option(help: "Samples to learn from, in place of the recipe's.")
  var samples: Int?

  @Option(help: "Tokens of each sample, in place of the recipe's.")
  var length: Int?

  @Option(help: "The memory the run may take, such as 8GiB; refused beforehand if it needs more.")
  var memory: ByteCount?

  @Flag(help: "Patterns of the recipe that match no layer are warnings, not errors.")
  var allowUnmatched = false

  func validate() throws {
    for (name, value) in [("--samples", samples), ("--length", length)] {
      if let value, !(1...1 << 24).contains(value) {
        throw ValidationError("\(name) must be at least 1.")
      }
    }
  }
}

/// A size such as 8GiB on the command line.
struct ByteCount: ExpressibleByArgument {
  let bytes: Int

  init?(argument: String) {
    guard let bytes = ByteSize.parse(argument) else { return nil }
    self.bytes = bytes
  }
}
