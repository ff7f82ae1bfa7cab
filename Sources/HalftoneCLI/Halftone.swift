import ArgumentParser
import Foundation
import HalftonePipeline

@main
struct Halftone: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "halftone",
    abstract: "Quantizes neural networks and measures what that costs.",
    discussion: """
      MODEL is a Hugging Face directory, a .gguf file, or a llama2.c .bin file beside its tokenizer.
      Results go to standard output, progress and warnings to standard error.
      Exit status: 0 done, 64 usage, 65 bad input data, 66 input missing, 70 internal,
      73 cannot create output, 74 input/output error, 130 interrupted (resumable).
      """,
    version: Version.current,
    subcommands: [
      QuantizeCommand.self, PlanCommand.self, EvaluateCommand.self, GenerateCommand.self,
      ServeCommand.self, TokenizeCommand.self, InspectCommand.self, CompareCommand.self,
      ConvertCommand.self, BenchmarkCommand.self, MethodsCommand.self, RecipesCommand.self,
      StudyCommand.self,
    ])

  static func main() {
    Supervision.begin()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      ExitStatus.end(error)
    }
  }
}
