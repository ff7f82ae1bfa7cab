import ArgumentParser
import HalftoneCheckpoints
import HalftonePipeline
import HalftoneTensor

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
      To gptq, gptq-v2, awq, mlx, compressed-tensors: a quantized directory of any of these, or a .gguf
      file, its codes unchanged. What the files cannot hold is an error that names the layer, what they
      round is said.
      To safetensors: such a directory dequantized, or any with its floats in another type.

      Examples:
        halftone convert models/tiny --format gguf --type q4_k_m --output tiny-q4.gguf
        halftone convert stories.bin --format huggingface --output stories
        halftone convert runs/books-gptq --format awq --output runs/books-awq
        halftone convert runs/books-gptq --format safetensors --dtype f32 --output runs/books-f32
      """)

  @Argument(help: "A Hugging Face directory, a .gguf file, or a llama2.c .bin file.")
  var model: String

  @Option(help: "huggingface, gguf, gptq, gptq-v2, awq, mlx, compressed-tensors or safetensors.")
  var format = "huggingface"

  @Option(help: "The directory to write, or the .gguf file.")
  var output: String

  @Option(help: "What matrices become in a gguf file. Default: f16.")
  var type: String?

  @Option(
    help:
      "f32, f16 or bf16: of all floats in safetensors, of the scales in mlx. Default: the model's.")
  var dtype: String?

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

  private var target: FormatConversion.Target? { FormatConversion.Target(rawValue: format) }

  private static let types: [String: ElementType] = [
    "f32": .float32, "f16": .float16, "bf16": .bfloat16,
  ]

  func validate() throws {
    let formats = ["huggingface", "gguf"] + FormatConversion.Target.allCases.map(\.rawValue)
    guard formats.contains(format) else {
      throw ValidationError("--format must be one of \(formats.joined(separator: ", ")).")
    }
    if type != nil, format != "gguf" {
      throw ValidationError("--type has no meaning for --format \(format).")
    }
    if let type, GGUFMix(type) == nil {
      throw ValidationError("--type must be one of \(GGUFMix.names.joined(separator: ", ")).")
    }
    guard let dtype else { return }
    guard target?.takesType ?? false else {
      throw ValidationError("--dtype has no meaning for --format \(format).")
    }
    guard Self.types[dtype] != nil else {
      throw ValidationError("--dtype must be f32, f16 or bf16.")
    }
  }

  func run() throws {
    threads.apply()
    let document =
      if let target {
        try write(target)
      } else {
        format == "gguf" ? try writeGGUF() : try writeHuggingFace()
      }
    if common.json { return try StandardOutput.json(document) }
    StandardOutput.line("\(document.tensors) tensors, \(ByteSize.text(document.bytes)): \(output)")
  }

  private func write(_ target: FormatConversion.Target) throws -> Document {
    let conversion = try FormatConversion(
      try OpenedModel.store(model), to: target, type: dtype.flatMap { Self.types[$0] })
    conversion.notices.forEach(common.warn)
    let (tensors, bytes) = try conversion.write(to: output, overwriting: overwrite)
    return Document(
      model: model, output: output, tensors: tensors, bytes: bytes, notices: conversion.notices)
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
