import ArgumentParser
import HalftoneInference
import HalftoneLayers
import HalftonePipeline
import HalftoneTensor

struct BenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "benchmark",
    abstract: "Measure how fast a model runs.",
    discussion: """
      Runs a prompt of random tokens into an empty cache, then single random tokens from an empty
      cache on, as llama.cpp's llama-bench does: once to warm up, then as often as asked for. The
      figures are medians. Needs no tokenizer.

      Examples:
        halftone benchmark models/tiny
        halftone benchmark tiny-w4 --prompt 256 --tokens 64 --threads 2 --json
      """)

  @Argument(
    help: "A Hugging Face directory, quantized or not, a .gguf file, or a llama2.c .bin file.")
  var model: String

  @Option(help: "The tokens that are run at once.")
  var prompt = 512

  @Option(help: "The tokens that are run one after the other.")
  var tokens = 128

  @Option(help: "How often both are measured.")
  var repetitions = 5

  @OptionGroup var engine: EngineArguments
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  struct Document: Encodable {
    var model: String
    var threads: Int
    var kernels: String
    var cache: String
    var inputs: String
    var prompt: Int
    var tokens: Int
    var loadSeconds: Double
    var prefillTokensPerSecond: Double
    var decodeTokensPerSecond: Double
    var weightBytes: Int
    var decodeBytesPerSecond: Double
    var memoryReadBytesPerSecond: Double
    var peakBytes: Int
    var repetitions: [BenchmarkRepetition]

    enum CodingKeys: String, CodingKey {
      case model, threads, kernels, cache, inputs, prompt, tokens, repetitions
      case loadSeconds = "load_seconds"
      case prefillTokensPerSecond = "prefill_tokens_per_second"
      case decodeTokensPerSecond = "decode_tokens_per_second"
      case weightBytes = "weight_bytes"
      case decodeBytesPerSecond = "decode_bytes_per_second"
      case memoryReadBytesPerSecond = "memory_read_bytes_per_second"
      case peakBytes = "peak_bytes"
    }
  }

  func validate() throws {
    for (name, value) in [("prompt", prompt), ("tokens", tokens), ("repetitions", repetitions)] {
      if value < 1 { throw ValidationError("--\(name) must be at least 1.") }
    }
  }

  func run() throws {
    threads.apply()
    let document = try measured()
    if common.json { return try StandardOutput.json(document) }
    StandardOutput.write(Self.text(document))
  }

  private func measured() throws -> Document {
    let clock = ContinuousClock()
    let start = clock.now
    let running = try Engine(OpenedModel(path: model).model, options: engine.options)
    let loadSeconds = start.duration(to: clock.now) / .seconds(1)
    common.say("loaded in \(ByteSize.fixed(loadSeconds, 2)) s")
    let options = BenchmarkOptions(prompt: prompt, tokens: tokens, repetitions: repetitions)
    let result = try BenchmarkRun(running, options).measure {
      common.say("repetition \($0) of \(repetitions)")
    }
    // Before the memory is measured: the buffer that is read is not the model's.
    let peakBytes = ProcessMemory.peakBytes
    let weightBytes = running.weightBytes
    return Document(
      model: model, threads: Parallelism.threads, kernels: Engine.kernelName,
      cache: engine.options.cache.rawValue, inputs: engine.options.inputs.rawValue, prompt: prompt,
      tokens: tokens,
      loadSeconds: loadSeconds,
      prefillTokensPerSecond: result.prefillTokensPerSecond,
      decodeTokensPerSecond: result.decodeTokensPerSecond, weightBytes: weightBytes,
      decodeBytesPerSecond: Double(weightBytes) * result.decodeTokensPerSecond,
      memoryReadBytesPerSecond: try MemoryReading.bytesPerSecond(), peakBytes: peakBytes,
      repetitions: result.repetitions)
  }

  private static func text(_ document: Document) -> String {
    let prefill = ByteSize.fixed(document.prefillTokensPerSecond, 1)
    let decode = ByteSize.fixed(document.decodeTokensPerSecond, 1)
    let read = document.memoryReadBytesPerSecond
    var weights = "unknown"
    if document.weightBytes > 0 {
      let rate = document.decodeBytesPerSecond
      weights =
        "\(gigabytes(Double(document.weightBytes))) GB a token, \(gigabytes(rate)) GB/s: "
        + "\(ByteSize.fixed(100 * rate / read, 0)) % of what memory gives"
    }
    return """
      prefill   \(prefill) tokens/s, \(document.prompt) at once
      decode    \(decode) tokens/s, \(document.tokens) one by one
      weights   \(weights)
      memory    \(gigabytes(read)) GB/s read by \(document.threads) threads
      peak      \(ByteSize.text(document.peakBytes))
      load      \(ByteSize.fixed(document.loadSeconds, 2)) s
      kernels   \(document.kernels)

      """
  }

  private static func gigabytes(_ bytes: Double) -> String { ByteSize.fixed(bytes / 1e9, 2) }
}
