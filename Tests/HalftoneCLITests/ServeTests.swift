import Foundation
import HalftoneTestSupport
import Testing

/// The server as a program, and what `generate` says of chats and stops.
@Suite struct ServeTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  /// The first line that the program prints, once it is there.
  private func firstLine(_ file: String) throws -> String? {
    for _ in 0..<2000 {
      let text = try String(contentsOfFile: file, encoding: .utf8)
      if let end = text.firstIndex(of: "\n") { return String(text[..<end]) }
      Thread.sleep(forTimeInterval: 0.005)
    }
    return nil
  }

  @Test(arguments: [SIGTERM, SIGINT]) func aSignalEndsTheServerWithStatusZero(
    _ signal: Int32
  ) throws {
    let output = try scratch.write("out", "")
    let process = try Program.process(
      ["serve", Program.model, "--port", "0", "--name", "tiny", "--quiet"], scratch)
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
    try process.run()
    defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
    let line = try #require(try firstLine(output))
    #expect(line.hasPrefix("serving tiny on http://127.0.0.1:"))
    let port = try #require(line.split(separator: ":").last.map(String.init))
    let taken = try Program.run(["serve", Program.model, "--port", port], scratch)
    #expect(taken.status == 74)
    #expect(taken.errors.contains("cannot listen on 127.0.0.1, port \(port): the port is in use"))
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit)
    #expect(process.terminationStatus == 0)
  }

  @Test func serversThatCannotStart() throws {
    let empty = try scratch.write("key", " \n")
    for (arguments, status) in [
      (["--port", "65536"], Int32(64)), (["--timeout", "-1"], 64), (["--max-body", "0"], 64),
      (["--api-key-file", "nowhere"], 66), (["--api-key-file", empty], 65),
      (["--chat", "klingon"], 64), (["--chat", "auto"], 65), (["--parallel", "0"], 64),
      (["--context", "513"], 64), (["--host", "not an address"], 64),
      (["--host", ""], 64), (["--host", "192.0.2.1"], 64), (["--timeout", "0"], 64),
      (["--api-key-file", "/dev/null"], 65), (["--parallel", "9223372036854775807"], 64),
      (["--max-queue", "-9223372036854775808"], 64),
    ] {
      let outcome = try Program.run(["serve", Program.model] + arguments, scratch)
      #expect(outcome.status == status, "\(arguments): \(outcome.errors)")
      #expect(outcome.output.isEmpty)
    }
    #expect(try Program.run(["serve", "nowhere"], scratch).status == 66)
  }

  @Test func generateTakesChatsAndStops() throws {
    let base = ["generate", Program.model, "--prompt", "Once", "--tokens", "20"]
    let chat = try Program.run(
      base + ["--chat", "mistral-v1", "--system", "Be brief.", "--json"], scratch)
    #expect(chat.status == 0, "\(chat.errors)")
    let plain = try Program.run(base, scratch)
    #expect(plain.output.contains("upon"))
    let stopped = try Program.run(base + ["--stop", "upon"], scratch)
    #expect(stopped.output == "Once \n")
    for (arguments, status) in [
      (["--system", "x"], Int32(64)), (["--chat", "klingon"], 64), (["--chat", "auto"], 65),
      (["--chat", "chatml"], 64), (["--stop", ""], 64), (["--min-p", "2"], 64),
      (["--context", "5"], 64), (["--repetition-penalty", "0"], 64),
    ] {
      let outcome = try Program.run(base + arguments, scratch)
      #expect(outcome.status == status, "\(arguments): \(outcome.errors)")
    }
  }
}
