import ArgumentParser
import HalftonePipeline
import HalftoneTensor

/// What every command understands.
struct CommonOptions: ParsableArguments {
  @Flag(help: "Print one JSON document on standard output and nothing else there.")
  var json = false

  @Flag(name: .shortAndLong, help: "No progress, no warnings; only results and errors.")
  var quiet = false

  @Flag(name: .shortAndLong, help: "Say more about what is being done.")
  var verbose = false

  func validate() throws {
    if quiet && verbose { throw ValidationError("--quiet and --verbose contradict each other.") }
  }

  var progress: ProgressLine { ProgressLine(quiet: quiet) }

  func warn(_ text: String) {
    if !quiet { StandardError.line("warning: \(text)") }
  }

  func say(_ text: String) {
    if verbose { StandardError.line(text) }
  }
}

/// For commands that compute.
struct ThreadOptions: ParsableArguments {
  @Option(help: "Threads to use; results do not depend on it. Default: all processors.")
  var threads: Int?

  func validate() throws {
    if let threads, threads < 1 || threads > 4096 {
      throw ValidationError("--threads must be 1 to 4096.")
    }
  }

  func apply() {
    if let threads { Parallelism.threads = threads }
  }
}
