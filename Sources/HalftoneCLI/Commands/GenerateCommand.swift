import ArgumentParser
import HalftoneInference
import HalftoneLayers
import HalftonePipeline
import HalftoneTokenizers

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Continue a text.",
    discussion: """
      Examples:
        halftone generate models/tiny --prompt "Once upon a time" --tokens 100
        halftone generate tiny-w4 --prompt "Once" --temperature 0.8 --seed 7 --json
      """)

  @Argument(help: "A Hugging Face directory, quantized or not, or a llama2.c .bin file.")
  var model: String

  @Option(help: "The text to continue.")
  var prompt: String

  @Option(help: "The most tokens to add.")
  var tokens = 128

  @Option(help: "0 takes the likeliest token always; 1 draws from the model's own distribution.")
  var temperature = 0.0

  @Option(help: "Draw from so many likeliest tokens only.")
  var topK: Int?

  @Option(help: "Draw from the likeliest tokens that reach this probability only.")
  var topP: Double?

  @Option(help: "The seed of the draws.")
  var seed: UInt64 = 0

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  struct Document: Encodable {
    var model: String
    var prompt: String
    var text: String
    var ids: [Int]
    var finish: String
    var promptTokens: Int
    var prefillSeconds: Double
    var decodeSeconds: Double
    var tokensPerSecond: Double

    enum CodingKeys: String, CodingKey {
      case model, prompt, text, ids, finish
      case promptTokens = "prompt_tokens"
      case prefillSeconds = "prefill_seconds"
      case decodeSeconds = "decode_seconds"
      case tokensPerSecond = "tokens_per_second"
    }
  }

  func run() throws {
    threads.apply()
    let opened = try OpenedModel(path: model)
    let tokenizer = try opened.tokenizer()
    let ids = tokenizer.encode(prompt)
    let generator = try Generator(opened.model)
    let options = GenerationOptions(
      tokens: tokens,
      sampling: SamplingOptions(temperature: temperature, topK: topK, topP: topP, seed: seed))
    var decoder = StreamingDecoder(tokenizer, after: ids)
    var text = ""
    if !common.json { StandardOutput.write(prompt) }
    let result = try generator.generate(ids, options) { id in
      let piece = decoder.append(id)
      text += piece
      if !common.json { StandardOutput.write(piece) }
    }
    let rest = decoder.finish()
    guard common.json else { return StandardOutput.line(rest) }
    try StandardOutput.json(
      Document(
        model: model, prompt: prompt, text: text + rest, ids: result.ids,
        finish: result.finish.rawValue, promptTokens: result.promptCount,
        prefillSeconds: result.prefillSeconds, decodeSeconds: result.decodeSeconds,
        tokensPerSecond: Double(result.decodedCount) / max(result.decodeSeconds, 1e-9)))
  }
}
