import ArgumentParser
import HalftoneCheckpoints
import HalftonePipeline

struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Write a model in another format.",
    discussion: """
      This version turns a llama2.c .bin file into a Hugging Face directory.

      Examples:
        halftone convert stories.bin --format huggingface --output stories
      """)

  @Argument(help: "A llama2.c .bin file beside its tokenizer.")
  var model: String

  @Option(help: "huggingface; gguf, gptq, awq and mlx are not supported in this version.")
  var format = "huggingface"

  @Option(help: "The directory to write.")
  var output: String

  @Option(help: "For formats of a later version, such as q4_0.")
  var type: String?

  @Flag(help: "Replace the model at the output.")
  var overwrite = false

  @OptionGroup var common: CommonOptions

  struct Document: Encodable {
    var model: String
    var output: String
    var tensors: Int
    var bytes: Int
  }

  func validate() throws {
    let later = ["gguf", "gptq", "awq", "mlx", "compressed-tensors"]
    if later.contains(format) {
      throw ValidationError(
        "--format \(format) is not supported in this version; use --format huggingface, "
          + "or the quantize command to make compressed-tensors.")
    }
    guard format == "huggingface" else {
      throw ValidationError("--format must be huggingface.")
    }
    if type != nil { throw ValidationError("--type has no meaning for --format huggingface.") }
  }

  func run() throws {
    let store = try OpenedModel.store(model)
    try ModelConversion(store: store, model: model).write(to: output, overwriting: overwrite)
    let document = Document(
      model: model, output: output, tensors: store.names.count, bytes: try store.byteCount())
    if common.json { return try StandardOutput.json(document) }
    StandardOutput.line("\(document.tensors) tensors, \(ByteSize.text(document.bytes)): \(output)")
  }
}
