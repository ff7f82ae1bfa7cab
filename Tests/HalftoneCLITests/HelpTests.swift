import Foundation
import HalftoneTestSupport
import Testing

/// What `--help` prints, compared with files; RECORD_SNAPSHOTS=1 writes them and fails.
@Suite struct HelpTests {
  static let commands = [
    "", "quantize", "plan", "evaluate", "generate", "serve", "tokenize", "inspect", "compare",
    "convert", "benchmark", "methods", "recipes", "recipes show", "study", "study formats",
  ]

  @Test(arguments: commands) func help(_ command: String) throws {
    let arguments = command.split(separator: " ").map(String.init) + ["--help"]
    let outcome = try Program.run(arguments, Scratch())
    #expect(outcome.status == 0)
    let name = command.isEmpty ? "halftone" : command.replacingOccurrences(of: " ", with: "-")
    let file = Repository.path("Tests/HalftoneCLITests/Golden/help-\(name).txt")
    if ProcessInfo.processInfo.environment["RECORD_SNAPSHOTS"] != nil {
      try Data(outcome.output.utf8).write(to: URL(fileURLWithPath: file))
      Issue.record("recorded \(file)")
    }
    #expect(outcome.output == (try? String(contentsOfFile: file, encoding: .utf8)))
  }

  @Test func completionsAreMadeForEveryShell() throws {
    for shell in ["bash", "zsh", "fish"] {
      let outcome = try Program.run(["--generate-completion-script", shell], Scratch())
      #expect(outcome.status == 0)
      #expect(outcome.output.contains("quantize"))
    }
  }
}
