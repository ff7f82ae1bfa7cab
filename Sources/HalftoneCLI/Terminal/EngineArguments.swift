import ArgumentParser
import HalftoneInference
import HalftoneLayers

/// How a model is held in memory and run, on the command line.
struct EngineArguments: ParsableArguments {
  @Option(
    help: "How keys and values of earlier tokens are stored: f16, int8 or int4.",
    transform: { try parsed($0, CacheType.allCases) })
  var cache = CacheType.f16

  @Option(
    help: ArgumentHelp(
      "Inputs of quantized layers whose checkpoint does not round them: float, int8 (faster on long "
        + "prompts) or auto (int8 for GGUF blocks, otherwise float)."),
    transform: { try parsed($0, EngineOptions.Inputs.allCases) })
  var inputs = EngineOptions.Inputs.auto

  var options: EngineOptions { EngineOptions(inputs: inputs, cache: cache) }

  /// The case of that name, or an error that names them all.
  private static func parsed<Choice: RawRepresentable<String>>(
    _ word: String, _ choices: [Choice]
  ) throws -> Choice {
    guard let choice = Choice(rawValue: word) else {
      throw ValidationError("Use one of \(choices.map(\.rawValue).joined(separator: ", ")).")
    }
    return choice
  }
}
