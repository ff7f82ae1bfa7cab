import Foundation
import HalftoneTestSupport
import Testing

/// The command that writes one tool's files as another's.
@Suite struct ConvertTests {
  private static let golden = Repository.path("Tests/HalftoneCheckpointsTests/Golden")

  @Test(arguments: ["gptq-v2", "awq", "mlx", "compressed-tensors", "safetensors"])
  func everyFormatIsWritten(_ format: String) throws {
    let scratch = try Scratch()
    let outcome = try Program.run(
      ["convert", Self.golden + "/awq/group32", "--format", format, "--output", "out", "--json"],
      scratch)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let parsed = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    let document = try #require(parsed as? [String: Any])
    for key in ["model", "output", "tensors", "bytes", "notices"] { #expect(document[key] != nil) }
    let inspected = try Program.run(["inspect", "out"], scratch)
    #expect(inspected.status == 0)
    #expect(inspected.output.contains("int4 group 32") == (format != "safetensors"))
  }

  @Test func lossesAreSaidOnStandardError() throws {
    let scratch = try Scratch()
    let outcome = try Program.run(
      [
        "convert", Self.golden + "/awq/group32", "--format", "mlx", "--dtype", "bf16", "--output",
        "out",
      ],
      scratch)
    #expect(outcome.status == 0)
    #expect(outcome.errors.contains("scales and offsets are rounded to BF16"))
  }

  @Test(arguments: [
    (["--format", "exl2"], 64, "must be one of"),
    (["--format", "gptq", "--dtype", "f32"], 64, "--dtype has no meaning"),
    (["--format", "mlx", "--dtype", "f8"], 64, "must be f32, f16 or bf16"),
    (["--format", "awq", "--type", "q4_0"], 64, "--type has no meaning"),
    (["--format", "awq"], 65, "AWQ files hold integers of 4 bits, not int8"),
  ])
  func whatCannotBeIsRefused(_ arguments: [String], _ status: Int32, _ words: String) throws {
    let scratch = try Scratch()
    let outcome = try Program.run(
      ["convert", Self.golden + "/gptq/v1-w8-channel-symmetric", "--output", "out"] + arguments,
      scratch)
    #expect(outcome.status == status, "\(outcome.errors)")
    #expect(outcome.errors.contains(words), "\(outcome.errors)")
    #expect(outcome.output.isEmpty)
    #expect(try scratch.entries().isEmpty)
  }
}
