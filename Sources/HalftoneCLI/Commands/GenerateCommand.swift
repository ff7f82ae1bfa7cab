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
        halftone generate qwen3 --chat auto --system "Be brief." --prompt "What is a halftone?"
        halftone generate models/tiny --prompt "Once" --stop "The end" --repetition-penalty 1.1
      """)

  @Argument(
    help: "A Hugging Face directory, quantized or not, a .gguf file, or a llama2.c .bin file.")
  var model: String

  @Option(help: "The text to continue.")
  var prompt: String

  @Option(help: "The most tokens to add.")
  var tokens = 128

  @Option(help: "The most positions of prompt and new tokens. Default: the model's context.")
  var context: Int?

  @Option(help: "End before this text; may be given several times.")
  var stop: [String] = []

  @Option(
    help: ArgumentHelp(
      "Take the prompt as a user's message: the name of a chat template, or auto for the model's.",
      valueName: "name"))
  var chat: String?

  @Option(help: "The system text of the chat.")
  var system: String?

  @OptionGroup var sampling: SamplingArguments
  @OptionGroup var engine: EngineArguments
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

  func validate() throws {
    if system != nil, chat == nil { throw ValidationError("--system needs --chat.") }
  }

  func run() throws {
    do {
      try generate()
    } catch let error as GenerationError where error.isModelFault {
      throw PipelineError(.badInput, error.description, at: model)
    }
  }

  private func generate() throws {
    threads.apply()
    let opened = try OpenedModel(path: model)
    let tokenizer = try opened.tokenizer()
    var options = GenerationOptions(tokens: tokens, sampling: sampling.options)
    var ids = tokenizer.encode(prompt)
    if let template = try opened.chatTemplate(named: chat) {
      let lead = system.map { [ChatMessage(.system, $0)] } ?? []
      ids = try template.encode(lead + [ChatMessage(.user, prompt)], tokenizer)
      options.stop = Set(opened.model.endOfTextIds).union(template.endIds(tokenizer))
    }
    let generator = try TextGenerator(
      Generator(Engine(opened.model, options: engine.options), capacity: context),
      tokenizer: tokenizer)
    if !common.json, chat == nil { StandardOutput.write(prompt) }
    let output = try generator.generate(tokens: [ids], options, stop: stop) { _, piece in
      if !common.json { StandardOutput.write(piece) }
    }[0]
    guard common.json else { return StandardOutput.line("") }
    let result = output.generation
    try StandardOutput.json(
      Document(
        model: model, prompt: prompt, text: output.text, ids: result.ids,
        finish: result.finish.rawValue, promptTokens: result.promptCount,
        prefillSeconds: result.prefillSeconds, decodeSeconds: result.decodeSeconds,
        tokensPerSecond: Double(result.decodedCount) / max(result.decodeSeconds, 1e-9)))
  }
}
