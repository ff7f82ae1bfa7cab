import Foundation
import HalftoneTestSupport
import Testing

/// Runs that are killed, stopped or starved.
@Suite struct RunTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private func arguments(_ output: String, samples: Int = 32) throws -> [String] {
    let recipe = try scratch.write(
      "r.yaml", "scheme: { weights: { bits: 3, symmetric: false } }\nsteps: [ gptq ]\n")
    return [
      "quantize", Program.model, "--recipe", recipe, "--calibration", Program.text, "--output",
      output, "--samples", "\(samples)", "--length", "64", "--quiet",
    ]
  }

  private func bytes(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: scratch.path + "/" + name))
  }

  /// Kills at moments spread over the run's length, until one attempt comes to its end.
  @Test func aKilledRunGoesOnToTheSameBytes() throws {
    #expect(try Program.run(arguments("whole"), scratch).status == 0)
    var kills = 0
    for delay in [0.01, 0.06, 0.11, 0.17, 0.24, 0.31, 0.4, 0.5, 0.05, 0.15, 0.25] {
      let process = try Program.process(arguments("out") + ["--resume"], scratch)
      try process.run()
      Thread.sleep(forTimeInterval: delay)
      if process.isRunning {
        kill(process.processIdentifier, SIGKILL)
        kills += 1
      }
      process.waitUntilExit()
      if FileManager.default.fileExists(atPath: scratch.path + "/out") { break }
    }
    #expect(kills > 0)
    if try scratch.entries().contains(".out.halftone-run") {
      let last = try Program.run(arguments("out") + ["--resume"], scratch)
      #expect(last.status == 0, "\(last.errors)")
    }
    for file in ["model.safetensors", "config.json", "recipe.yaml"] {
      #expect(try bytes("out/" + file) == bytes("whole/" + file))
    }
    #expect(try scratch.entries() == ["out", "r.yaml", "whole"])
  }

  @Test func threadsDoNotChangeTheBytes() throws {
    #expect(try Program.run(arguments("one") + ["--threads", "1"], scratch).status == 0)
    #expect(try Program.run(arguments("three") + ["--threads", "3"], scratch).status == 0)
    #expect(try bytes("one/model.safetensors") == bytes("three/model.safetensors"))
  }

  @Test func anInterruptEndsAfterTheBlock() throws {
    let process = try Program.process(arguments("out", samples: 200), scratch)
    try process.run()
    let first = scratch.path + "/.out.halftone-run/block-0.safetensors"
    for _ in 0..<2000 where !FileManager.default.fileExists(atPath: first) {
      Thread.sleep(forTimeInterval: 0.005)
    }
    process.interrupt()
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
    #expect(try scratch.entries() == [".out.halftone-run", "r.yaml"])
    let refused = try Program.run(arguments("out", samples: 200), scratch)
    #expect(refused.status == 73)
    #expect(refused.errors.contains("--resume"))
  }

  /// The checkpoint does not fit a limit of 100 KiB a file, as on a disk that is almost full: blocks that
  /// took time to make fit and are kept, rounding to nearest begins again.
  @Test(arguments: [false, true])
  func aWriteThatFailsLeavesNoOutputAndCanBeResumed(_ learns: Bool) throws {
    let text = ["--calibration", Program.text, "--samples", "2", "--length", "16"]
    let arguments =
      ["quantize", Program.model, "--recipe", "rtn-w8a8", "--output", "out", "--quiet"]
      + (learns ? text : [])
    let process = try Program.process([], scratch)
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", "ulimit -f 100; exec \"$@\"", "bash", Program.path] + arguments
    let outcome = try Program.run(process)
    #expect(outcome.status == 74, "\(outcome.errors)")
    #expect(try scratch.entries() == (learns ? [".out.halftone-run"] : []))
    #expect(try Program.run(arguments + ["--resume"], scratch).status == 0)
    #expect(try scratch.entries() == ["out"])
  }
}
