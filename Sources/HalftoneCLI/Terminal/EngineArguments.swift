import ArgumentParser
import HalftoneInference
import HalftoneLayers

/// How a model is held in memory and run, on the command line.
struct EngineArguments: ParsableArguments {
  @Option(
    help: "How keys and values of earlier tokens are stored: f16 (default), int8 or int4.",
    transform: { try parsed($0, CacheType.allCases) })
  var cache: CacheType?

  @Option(
    help: ArgumentHelp(
      "Inputs of layers whose checkpoint does not round them: int8 (fast; bfloat16 for bfloat16 "
        + "weights) or float (exact). Default: float for evaluate, otherwise int8."),
    transform: { try parsed($0, EngineOptions.Inputs.allCases) })
  var inputs: EngineOptions.Inputs?

  @Option(
    help:
      "An output head stored as floats is held so: stored (as it is; default) or int8 (half the bytes).",
    transform: { try parsed($0, EngineOptions.Head.allCases) })
  var head: EngineOptions.Head?

  /// Whether any was chosen, which only the engine can honour.
  var isGiven: Bool { cache != nil || inputs != nil || head != nil }
  var options: EngineOptions {
    EngineOptions(inputs: inputs ?? .int8, cache: cache ?? .f16, head: head ?? .stored)
  }
  /// For figures that describe the model rather than the engine.
  var exactOptions: EngineOptions {
    EngineOptions(inputs: inputs ?? .float, cache: cache ?? .f16, head: head ?? .stored)
  }

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
