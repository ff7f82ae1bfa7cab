import ArgumentParser
import HalftoneInference

/// How the next token is chosen, on the command line.
struct SamplingArguments: ParsableArguments {
  @Option(help: "0 takes the likeliest token always; 1 draws from the model's own distribution.")
  var temperature = 0.0

  @Option(help: "Draw from so many likeliest tokens only.")
  var topK: Int?

  @Option(help: "Draw from the likeliest tokens that reach this probability only.")
  var topP: Double?

  @Option(help: "Draw only tokens at least this share as likely as the likeliest.")
  var minP: Double?

  @Option(help: "Above 1 makes tokens that occurred less likely, by this factor of the logit.")
  var repetitionPenalty = 1.0

  @Option(help: "How many of the latest tokens the penalty looks at. Default: all.")
  var repetitionWindow: Int?

  @Option(help: "The seed of the draws.")
  var seed: UInt64 = 0

  var options: SamplingOptions {
    SamplingOptions(
      temperature: temperature, topK: topK, topP: topP, minP: minP,
      repetitionPenalty: repetitionPenalty, repetitionWindow: repetitionWindow, seed: seed)
  }
}
