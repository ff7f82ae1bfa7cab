import ArgumentParser
import HalftonePipeline

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a checkpoint holds.",
    discussion: """
      Tensors with type, shape and bytes; schemes, bits per weight, recipe and versions where the
      checkpoint was written by Halftone. Nothing is computed.

      With --verify every byte is read: numbers must be finite, scales above 0, codes those of
      their format, padding clear; configuration, index and tensors must agree, and the network
      must be the one that config.json describes. Each problem is listed with what to do, and
      the exit status is 65 if there is one.

      Examples:
        halftone inspect tiny-w4
        halftone inspect tiny-w4 --verify
        halftone inspect models/tiny --json
      """)

  @Argument(
    help: "A Hugging Face directory, quantized or not, a .gguf file, or a llama2.c .bin file.")
  var path: String

  @Flag(help: "Read all of it, and list what is wrong.")
  var verify = false

  @OptionGroup var common: CommonOptions

  func run() throws {
    let inspection = try Inspection(path: path, verifies: verify)
    if common.json {
      try StandardOutput.json(inspection)
    } else {
      StandardOutput.write(inspection.text)
    }
    guard let problems = inspection.problems, !problems.isEmpty else { return }
    throw PipelineError(
      .badInput,
      "\(problems.count) \(problems.count == 1 ? "problem" : "problems") found, listed on standard output "
        + "with what to do", at: path)
  }
}
