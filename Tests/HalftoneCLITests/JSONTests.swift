import Foundation
import HalftoneTestSupport
import Testing

/// Every `--json` document parses and has the keys that scripts rely on.
@Suite struct JSONTests {
  static let text = Repository.path("Resources/text/tinystories-test.txt")
  static let task = Repository.path("Resources/tasks/tinystories-cloze.jsonl")
  static let llama2c = Program.model + "/llama2c/stories260K.bin"

  static let documents: [(arguments: [String], keys: [String])] = [
    (
      ["plan", Program.model, "--recipe", "rtn-w8a8"],
      ["model", "recipe", "methods", "bits_per_weight", "bytes_before", "bytes_after", "layers"]
    ),
    (
      ["evaluate", Program.model, "--text", text, "--context", "64", "--windows", "3"],
      [
        "model", "text", "context", "tokens", "negative_log_likelihood", "perplexity",
        "bits_per_byte", "standard_error", "tasks", "seconds", "peak_bytes",
      ]
    ),
    (
      ["generate", Program.model, "--prompt", "Once", "--tokens", "3"],
      ["model", "prompt", "text", "ids", "finish", "tokens_per_second"]
    ),
    (["generate", llama2c, "--prompt", "Once", "--tokens", "3"], ["text", "ids"]),
    (["tokenize", Program.model, "--prompt", "Once"], ["ids", "tokens"]),
    (["tokenize", Program.model, "--ids", "1,403"], ["ids", "tokens", "text"]),
    (
      ["inspect", Program.model],
      ["path", "model_type", "parameters", "bytes", "tensors", "layers", "bits_per_parameter"]
    ),
    (
      [
        "compare", Program.model, Program.model, "--text", text, "--context", "64", "--windows",
        "2",
      ],
      ["sizes", "predictions"]
    ),
    (
      ["benchmark", Program.model, "--prompt", "8", "--tokens", "2", "--repetitions", "1"],
      [
        "model", "threads", "kernels", "cache", "inputs", "prompt", "tokens", "load_seconds",
        "prefill_tokens_per_second", "decode_tokens_per_second", "weight_bytes",
        "decode_bytes_per_second", "memory_read_bytes_per_second", "peak_bytes", "repetitions",
      ]
    ),
    (["methods"], ["methods"]),
    (["recipes"], ["recipes"]),
    (["recipes", "show", "gptq-w4a16"], ["name", "yaml", "canonical"]),
    (
      ["quantize", Program.model, "--recipe", "rtn-w8a8", "--output", "out"],
      [
        "model", "recipe", "seed", "versions", "bits_per_weight", "bytes_before", "bytes_after",
        "seconds", "peak_bytes", "layers", "blocks",
      ]
    ),
    (
      ["convert", llama2c, "--output", "converted"], ["model", "output", "tensors", "bytes"]
    ),
    (
      ["convert", llama2c, "--format", "gguf", "--type", "q8_0", "--output", "x.gguf"],
      ["model", "output", "tensors", "bytes", "notices"]
    ),
  ]

  @Test(arguments: documents.indices) func documentsHaveTheirKeys(_ index: Int) throws {
    let (arguments, keys) = Self.documents[index]
    let outcome = try Program.run(arguments + ["--json"], Scratch())
    #expect(outcome.status == 0, "\(outcome.errors)")
    let parsed = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    let document = try #require(parsed as? [String: Any])
    for key in keys { #expect(document[key] != nil, "\(key) of \(arguments[0])") }
  }

  @Test func theReportInTheOutputIsTheDocument() throws {
    let scratch = try Scratch()
    let whole = try String(contentsOfFile: Self.text, encoding: .utf8)
    let text = try scratch.write("text.txt", String(whole.prefix(20_000)))
    let outcome = try Program.run(
      [
        "quantize", Program.model, "--recipe", "rtn-w8a8", "--output", "out", "--json",
        "--calibration", Program.text, "--samples", "8", "--length", "64", "--evaluate", text,
        "--context", "512",
      ], scratch)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let report = try String(contentsOfFile: scratch.path + "/out/report.json", encoding: .utf8)
    #expect(outcome.output == report)
    #expect(report.contains("\"perplexity_after\""))
    let inspected = try Program.run(["inspect", "out", "--json"], scratch)
    #expect(inspected.output.contains("\"report\""))
    let page = try String(contentsOfFile: scratch.path + "/out/report.html", encoding: .utf8)
    #expect(page.contains("<svg "))
  }

  @Test func tasksAreMeasured() throws {
    let scratch = try Scratch()
    let lines = try String(contentsOfFile: Self.task, encoding: .utf8).split(separator: "\n")
    let file = try scratch.write("cloze.jsonl", lines.prefix(5).joined(separator: "\n"))
    let outcome = try Program.run(["evaluate", Program.model, "--task", file, "--json"], scratch)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("\"items\" : 5"))
  }
}
