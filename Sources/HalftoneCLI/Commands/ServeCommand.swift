import ArgumentParser
import Foundation
import HalftoneInference
import HalftoneLayers
import HalftonePipeline
import HalftoneServer
import Synchronization

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve a model over HTTP, in the forms of OpenAI's interface.",
    discussion: """
      Examples:
        halftone serve models/tiny
        halftone serve qwen3 --port 0 --parallel 8 --context 4096 --api-key-file key.txt
      Ends on SIGTERM or SIGINT, after the requests that run. The key can also be in the
      environment, as HALFTONE_API_KEY.
      """)

  @Argument(
    help: "A Hugging Face directory, quantized or not, a .gguf file, or a llama2.c .bin file.")
  var model: String

  @Option(help: "The name that clients use. Default: the last part of the model's path.")
  var name: String?

  @Option(help: "The address to listen on.")
  var host = "127.0.0.1"

  @Option(help: "The port to listen on; 0 for one that is free.")
  var port = 8080

  @Option(help: "The most requests that run together.")
  var parallel = 4

  @Option(help: "The most positions of a request. Default: the model's context.")
  var context: Int?

  @Option(help: "A chat template's name. Default: the model's own, if it is known.")
  var chat: String?

  @Option(
    help: ArgumentHelp("A file with the bearer token that clients must send.", valueName: "file"))
  var apiKeyFile: String?

  @Option(help: "The largest body of a request, such as 1MiB.")
  var maxBody: ByteCount?

  @Option(help: "The most requests that wait.")
  var maxQueue = 64

  @Option(help: "Seconds that a request may take.")
  var timeout = 600.0

  @Option(help: "Seconds that requests may go on when the server ends.")
  var grace = 30.0

  @OptionGroup var engine: EngineArguments
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (0...65535).contains(port) else { throw ValidationError("--port must be 0 to 65535.") }
    guard !host.trimmingCharacters(in: .whitespaces).isEmpty else {
      throw ValidationError("--host must be an address or a name, such as 127.0.0.1.")
    }
    guard timeout > 0, timeout <= 86_400 else {
      throw ValidationError("--timeout must be above 0 and at most 86400 seconds.")
    }
    guard grace >= 0, grace <= 86_400 else {
      throw ValidationError("--grace must be 0 to 86400 seconds.")
    }
    if let maxBody, !(1...1 << 30).contains(maxBody.bytes) {
      throw ValidationError("--max-body must be 1 byte to 1GiB.")
    }
  }

  /// What is printed once requests are taken.
  private struct Document: Encodable {
    var model: String
    var url: String
  }

  func run() throws {
    threads.apply()
    let options = try serverOptions()
    let opened = try OpenedModel(path: model)
    let tokenizer = try opened.tokenizer()
    let template = try template(opened)
    let scheduler = try Scheduler(
      Engine(opened.model, options: engine.options),
      SchedulerOptions(parallel: parallel, queue: maxQueue, capacity: context))
    let served = ServedModel(
      name: name ?? (model as NSString).lastPathComponent, tokenizer: tokenizer,
      template: template, endOfTextIds: opened.model.endOfTextIds)
    Interruption.unblock()
    let server = InferenceServer(served, scheduler, options, handlesSignals: true)
    let (json, host) = (common.json, host.contains(":") ? "[\(host)]" : host)
    try Self.wait {
      try await server.run { port in
        let url = "http://\(host):\(port)"
        if json {
          try? StandardOutput.json(Document(model: served.name, url: url))
        } else {
          StandardOutput.line("serving \(served.name) on \(url)")
        }
      }
    }
  }

  /// A template that is asked for must be known; the model's own may be unknown.
  private func template(_ opened: OpenedModel) throws -> ChatTemplate? {
    if let chat { return try opened.chatTemplate(named: chat) }
    let template = opened.chatTemplateSource().flatMap(ChatTemplate.init(recognizedIn:))
    if template == nil {
      common.warn("no known chat template; only /v1/completions is served, or name one by --chat")
    }
    return template
  }

  private func serverOptions() throws -> ServerOptions {
    var options = ServerOptions()
    options.host = host
    options.port = port
    options.apiKey = try apiKey()
    if let maxBody { options.largestBody = maxBody.bytes }
    options.timeLimit = .seconds(timeout)
    options.grace = .seconds(grace)
    let requests = min(max(parallel, 0), 1 << 20) + min(max(maxQueue, 0), 1 << 20)
    options.connections = max(256, 4 * requests)
    options.verbosity = common.quiet ? .quiet : common.verbose ? .verbose : .normal
    if !options.isLoopback, options.apiKey == nil {
      common.warn("\(host) may be reachable from other machines, and no --api-key-file is given")
    }
    return options
  }

  private func apiKey() throws -> String? {
    let environment = ProcessInfo.processInfo.environment["HALFTONE_API_KEY"]
    let text = try apiKeyFile.map(Self.keyText) ?? environment
    guard let key = text?.trimmingCharacters(in: .whitespacesAndNewlines) else { return nil }
    guard !key.isEmpty else {
      throw PipelineError(
        .badInput, "the key is empty; write one, or leave it out",
        at: apiKeyFile ?? "HALFTONE_API_KEY")
    }
    return key
  }

  private static func keyText(_ path: String) throws -> String {
    var status = stat()
    // Devices and pipes, such as /dev/null or a shell's <(…), cannot be mapped as files are.
    guard stat(path, &status) == 0, ![S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT),
      let handle = FileHandle(forReadingAtPath: path)
    else { return try TextFile.read(path, largest: largestKey) }
    let data = try handle.read(upToCount: largestKey + 1) ?? Data()
    guard data.count <= largestKey, let text = String(validating: data, as: UTF8.self) else {
      throw PipelineError(.badInput, "no text of at most \(largestKey) bytes", at: path)
    }
    return text
  }

  private static let largestKey = 4096

  private final class Failure: Sendable {
    let error = Mutex<(any Error)?>(nil)
  }

  /// Waits for work that suspends.
  private static func wait(_ work: @escaping @Sendable () async throws -> Void) throws {
    let done = DispatchSemaphore(value: 0)
    let failure = Failure()
    Task {
      do { try await work() } catch { failure.error.withLock { $0 = error } }
      done.signal()
    }
    done.wait()
    if let error = failure.error.withLock({ $0 }) { throw error }
  }
}
