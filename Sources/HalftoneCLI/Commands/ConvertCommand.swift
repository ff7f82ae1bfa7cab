import ArgumentParser
import HalftoneCheckpoints
import HalftonePipeline

struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Write a model in another format.",
    discussion: """
      To gguf: any model, its matrices rounded to one of the types
        \(GGUFMix.names.prefix(12).joined(separator: " "))
        \(GGUFMix.names.dropFirst(12).joined(separator: " "))
      Layers that are quantized already keep their codes. What cannot be as asked is said by name.
      To huggingface: a llama2.c .bin file.

      Examples:
        halftone convert models/tiny --format gguf --type q4_k_m --output tiny-q4.gguf
        halftone convert stories.bin --format huggingface --output stories
      """)

  @Argument(help: "A Hugging Face directory, a .gguf file, or a llama2.c .bin file.")
  var model: String

  @Option(help: "huggingface or gguf; gptq, awq and mlx are not supported in this version.")
  var format = "huggingface"

  @Option(help: "The directory to write, or the .gguf file.")
  var output: String

  @Option(help: "What matrices become in a gguf file. Default: f16.")
  var type: String?

  @Flag(help: "Replace the model at the output.")
  var overwrite = false

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  struct Document: Encodable {
    var model: String
    var output: String
    var tensors: Int
    var bytes: Int
    /// What is not as it was asked for, a sentence each.
    var notices: [String] = []
  }

  func validate() throws {
    let later = ["gptq", "awq", "mlx", "compressed-tensors"]
    if later.contains(format) {
      throw ValidationError(
        "--format \(format) is not supported in this version; use --format huggingface or gguf, "
          + "or the quantize command to make compressed-tensors.")
    }
    guard ["huggingface", "gguf"].contains(format) else {
      throw ValidationError("--format must be huggingface or gguf.")
    }
    if type != nil, format == "huggingface" {
      throw ValidationError("--type has no meaning for --format huggingface.")
    }
    if let type, GGUFMix(type) == nil {
      throw ValidationError("--type must be one of \(GGUFMix.names.joined(separator: ", ")).")
    }
  }

  func run() throws {
    threads.apply()
    let document = format == "gguf" ? try writeGGUF() : try writeHuggingFace()
    if common.json { return try StandardOutput.json(document) }
    StandardOutput.line("\(document.tensors) tensors, \(ByteSize.text(document.bytes)): \(output)")
  }

  private func writeGGUF() throws -> Document {
    guard let mix = GGUFMix(type ?? "f16") else { throw ValidationError("--type is unknown.") }
    let export = try GGUFExport(try OpenedModel(path: model), mix: mix)
    export.notices.forEach(common.warn)
    try export.write(to: output, overwriting: overwrite)
    return Document(
      model: model, output: output, tensors: export.entries.count, bytes: export.byteCount,
      notices: export.notices)
  }

  private func writeHuggingFace() throws -> Document {
    let store = try OpenedModel.store(model)
    try ModelConversion(store: store, model: model).write(to: output, overwriting: overwrite)
    return Document(
      model: model, output: output, tensors: store.names.count, bytes: try store.byteCount())
  }
}
