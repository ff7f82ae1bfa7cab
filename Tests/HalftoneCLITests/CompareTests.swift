import Foundation
import HalftoneTestSupport
import Testing

/// Recipes side by side, by the program as users run it.
@Suite struct CompareTests {
  let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    _ = try scratch.write(
      "three.yaml", "scheme: { weights: { bits: 3, symmetric: false } }\nsteps: [ gptq ]\n")
    _ = try scratch.write(
      "odd.yaml", "scheme: { weights: { bits: 4, group: 48 } }\nsteps: [ rtn ]\n")
  }

  private func arguments(_ recipes: [String], samples: Int = 8) -> [String] {
    ["compare", Program.model, "--recipes"] + recipes + [
      "--calibration", Program.text, "--samples", "\(samples)", "--length", "64", "--text",
      JSONTests.text, "--context", "64", "--windows", "3", "--output", "out",
    ]
  }

  @Test func recipesAreComparedRowByRow() throws {
    let arguments = arguments(["rtn-w4a16,odd.yaml", "three.yaml"])
    let outcome = try Program.run(arguments, scratch)
    #expect(outcome.status == 65, "\(outcome.errors)")
    #expect(outcome.errors.contains("1 of 3 recipes failed"))
    let lines = outcome.output.split(separator: "\n").map(String.init)
    try #require(lines.count == 6)
    #expect(lines[0].hasPrefix("recipe "))
    #expect(lines[1].hasPrefix("rtn-w4a16 "))
    #expect(lines[2].contains("failed: odd.yaml:1: ") && lines[2].contains("groups of 48"))
    #expect(lines[3].hasPrefix("three "))
    #expect(lines[4].hasPrefix("original "))
    #expect(lines[5].hasPrefix("Pareto front "))
    let refused = try Program.run(arguments, scratch)
    #expect(refused.status == 73)
    #expect(refused.errors.contains("--resume"))

    let again = try Program.run(arguments + ["--resume", "--json"], scratch)
    #expect(again.status == 65)
    #expect(!again.errors.contains("rtn-w4a16, seed"))
    let parsed = try JSONSerialization.jsonObject(with: Data(again.output.utf8))
    let document = try #require(parsed as? [String: Any])
    let keys = [
      "model", "calibration", "text", "context", "windows", "seeds", "versions", "rows", "pareto",
      "original_perplexity", "original_bytes",
    ]
    for key in keys { #expect(document[key] != nil, "\(key)") }
    let rows = try #require(document["rows"] as? [[String: Any]])
    try #require(rows.count == 3)
    let cells = [
      "recipe", "label", "failure", "seed_independent", "bits_per_weight", "bytes", "layer_error",
      "block_error", "perplexity", "kl", "top1_agreement", "seconds", "peak_bytes", "runs",
    ]
    for cell in cells { #expect(rows[0][cell] != nil, "\(cell)") }
    #expect(rows[1]["failure"] as? String != nil)
    let stored = try String(contentsOfFile: scratch.path + "/out/comparison.json", encoding: .utf8)
    #expect(stored == again.output)
  }

  /// What the row says is what `quantize` and `evaluate` say of the same model.
  @Test func figuresAreThoseOfTheCommands() throws {
    let outcome = try Program.run(arguments(["three.yaml"]) + ["--keep", "--json"], scratch)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let models = try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/out/models")
    let model = "out/models/" + (try #require(models.first))
    let evaluated = try Program.run(
      [
        "evaluate", model, "--text", JSONTests.text, "--reference", Program.model, "--context",
        "64", "--windows", "3", "--json",
      ], scratch)
    func object(_ text: String) throws -> [String: Any] {
      try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }
    let row = try #require((object(outcome.output)["rows"] as? [[String: Any]])?.first)
    let run = try #require((row["runs"] as? [[String: Any]])?.first)
    let predictions = try #require(run["predictions"] as? [String: Any])
    let report = try object(
      String(contentsOfFile: scratch.path + "/\(model)/report.json", encoding: .utf8))
    let evaluation = try object(evaluated.output)
    let reference = try #require(evaluation["reference"] as? [String: Any])
    #expect(predictions["perplexity"] as? Double == evaluation["perplexity"] as? Double)
    #expect(predictions["kl_mean"] as? Double == reference["kl_mean"] as? Double)
    #expect(run["bits_per_weight"] as? Double == report["bits_per_weight"] as? Double)
    #expect(run["peak_bytes"] as? Int == report["peak_bytes"] as? Int)
    #expect(run["seconds"] as? Double == report["seconds"] as? Double)
  }

  /// Kills the program alone; the run that it had started ends with it, and its blocks are used.
  @Test func aKilledComparisonGoesOn() throws {
    let arguments = arguments(["rtn-w4a16", "three.yaml"], samples: 200)
    let process = try Program.process(arguments, scratch)
    try process.run()
    let folder = scratch.path + "/out/models"
    func journal() -> String? {
      let names = try? FileManager.default.contentsOfDirectory(atPath: folder)
      return names?.first { $0.hasPrefix(".three") }
    }
    for _ in 0..<4000 {
      if let name = journal(),
        FileManager.default.fileExists(atPath: "\(folder)/\(name)/block-0.safetensors")
      {
        break
      }
      Thread.sleep(forTimeInterval: 0.005)
    }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    let outcome = try Program.run(arguments + ["--resume"], scratch)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(!outcome.errors.contains("rtn-w4a16, seed"))
    #expect(outcome.errors.contains("three, seed 0: run 2 of 2"))
    #expect(outcome.output.contains("\nthree "))
    #expect(!FileManager.default.fileExists(atPath: folder))
  }

  @Test func anInterruptIsHandedOn() throws {
    let arguments = arguments(["three.yaml"], samples: 200)
    let process = try Program.process(arguments, scratch)
    try process.run()
    let folder = scratch.path + "/out/models"
    func journals() -> [String] {
      ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { name in
        FileManager.default.fileExists(atPath: "\(folder)/\(name)/run.json")
      }
    }
    for _ in 0..<4000 where journals().isEmpty { Thread.sleep(forTimeInterval: 0.005) }
    process.interrupt()
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
    #expect(try Program.run(arguments + ["--resume"], scratch).status == 0)
  }

  @Test(arguments: [
    (["compare", Program.model], "two models"),
    (["compare", "a", "b", "c"], "two models"),
    (
      ["compare", "a", "b", "--recipes", "rtn-w4a16", "--output", "o", "--text", "t"],
      "name one model"
    ),
    (["compare", "a", "b", "--seeds", "1"], "belong to"),
    (["compare", "a", "--recipes", "rtn-w4a16", "--text", "t"], "--output"),
    (["compare", "a", "--recipes", "rtn-w4a16", "--output", "o"], "--text"),
    (["compare", "a", "--recipes", "rtn,,x", "--output", "o", "--text", "t"], "rtn,,x"),
    (["compare", "a", "b", "--keep"], "belong to"),
    (["compare", "a", "--recipes", "rtn-w4a1", "--output", "o", "--text", "t"], "rtn-w4a16"),
    (
      ["compare", "a", "--recipes", "rtn-w4a16", "--output", "o", "--text", "t", "--seeds", "1,x"],
      "1,x"
    ),
  ]) func contradictionsAreRefused(_ arguments: [String], _ words: String) throws {
    let outcome = try Program.run(arguments, scratch)
    #expect(outcome.status == 64)
    #expect(outcome.errors.contains(words), "\(outcome.errors)")
    #expect(try scratch.entries() == ["odd.yaml", "three.yaml"])
  }
}
