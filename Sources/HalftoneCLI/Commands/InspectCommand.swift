import ArgumentParser
import HalftonePipeline

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a checkpoint holds.",
    discussion: """
      Tensors with type, shape and bytes; schemes, bits per weight, recipe and versions where the
      checkpoint was written by Halftone. Nothing is computed.

      Examples:
        halftone inspect tiny-w4
        halftone inspect models/tiny --json
      """)

  @Argument(
    help: "A Hugging Face directory, quantized or not, a .gguf file, or a llama2.c .bin file.")
  var path: String

  @OptionGroup var common: CommonOptions

  func run() throws {
    let inspection = try Inspection(path: path)
    if common.json { return try StandardOutput.json(inspection) }
    StandardOutput.write(inspection.text)
  }
}
