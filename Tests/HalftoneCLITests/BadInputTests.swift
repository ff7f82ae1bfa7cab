import Foundation
import HalftoneTestSupport
import Testing

/// Damaged and contradictory inputs: each has its exit status, and nothing is left behind.
@Suite struct BadInputTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private static let recipe = "scheme: { weights: { bits: 4 } }\nsteps: [ rtn ]\n"

  /// Quantizes a copy of the model that `damage` has changed; says what was wrong.
  private func expect(
    _ status: Int32, _ words: String, recipe: String = recipe, text: Data? = nil,
    arguments: [String] = [], damage: (String) throws -> Void = { _ in },
    _ location: SourceLocation = #_sourceLocation
  ) throws {
    let model = scratch.path + "/model"
    try FileManager.default.copyItem(atPath: Program.model, toPath: model)
    try damage(model)
    _ = try scratch.write("r.yaml", recipe)
    var command = ["quantize", "model", "--recipe", "r.yaml", "--output", "out"]
    if let text {
      try text.write(to: URL(fileURLWithPath: scratch.path + "/text.txt"))
      command += ["--calibration", "text.txt"]
    }
    let before = try scratch.entries()
    let outcome = try Program.run(command + arguments, scratch)
    #expect(outcome.status == status, "\(outcome.errors)", sourceLocation: location)
    #expect(outcome.errors.contains(words), "\(outcome.errors)", sourceLocation: location)
    #expect(outcome.output.isEmpty, sourceLocation: location)
    #expect(try scratch.entries() == before, sourceLocation: location)
  }

  private func edit(_ file: String, _ change: (inout Data) -> Void) throws {
    let url = URL(fileURLWithPath: file)
    var data = try Data(contentsOf: url)
    change(&data)
    try data.write(to: url)
  }

  /// A safetensors file of this header and so many zero bytes.
  private func safetensors(_ header: String, data count: Int) -> Data {
    withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) } + Data(header.utf8)
      + Data(count: count)
  }

  // MARK: - Weights

  @Test func truncatedWeights() throws {
    try expect(65, "model.safetensors") { model in
      try edit(model + "/model.safetensors") { $0.removeLast(1000) }
    }
  }

  @Test func headerThatIsLargerThanAnyFile() throws {
    try expect(65, "model.safetensors") { model in
      try edit(model + "/model.safetensors") { $0[7] = 0x80 }
    }
  }

  @Test func flippedBitInTheHeader() throws {
    try expect(65, "model.safetensors") { model in
      try edit(model + "/model.safetensors") { $0[8] ^= 0x40 }
    }
  }

  @Test(arguments: [
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#
      + #""b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#,
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,6]}}"#,
    #"{"a":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,6]}}"#,
  ])
  func headersThatContradictThemselves(_ header: String) throws {
    try expect(65, "model.safetensors") { model in
      try safetensors(header, data: 6).write(
        to: URL(fileURLWithPath: model + "/model.safetensors"))
    }
  }

  @Test func missingShard() throws {
    try expect(66, "model-00001-of-00002.safetensors") { model in
      try FileManager.default.removeItem(atPath: model + "/model.safetensors")
      try Data(#"{"weight_map":{"a":"model-00001-of-00002.safetensors"}}"#.utf8).write(
        to: URL(fileURLWithPath: model + "/model.safetensors.index.json"))
    }
  }

  /// The last four bytes of the file belong to the last tensor, a weight of a layer or a norm.
  @Test func weightsThatAreNotNumbers() throws {
    try expect(65, "NaN or infinity") { model in
      try edit(model + "/model.safetensors") { data in
        let length = Int(data[0]) | Int(data[1]) << 8
        let header = try? JSONSerialization.jsonObject(with: data[8..<8 + length])
        let tensors = header as? [String: [String: Any]]
        let place = tensors?["model.layers.3.mlp.up_proj.weight"]?["data_offsets"] as? [Int]
        let start = 8 + length + (place?[0] ?? 0) + 40
        data.replaceSubrange(start..<start + 4, with: [0, 0, 0xC0, 0x7F])
      }
    }
  }

  @Test func configurationOfAnotherModel() throws {
    try expect(65, "config.json") { model in
      try edit(model + "/config.json") { data in
        let text = String(decoding: data, as: UTF8.self)
        data = Data(
          text.replacingOccurrences(
            of: "\"intermediate_size\": 172", with: "\"intermediate_size\": 176"
          ).utf8)
      }
    }
  }

  @Test func unknownFamily() throws {
    try expect(65, "supported are") { model in
      try Data(#"{"model_type":"abacus"}"#.utf8).write(
        to: URL(fileURLWithPath: model + "/config.json"))
    }
  }

  // MARK: - Tokenizer and text

  @Test func tokenizerWithAnUnknownPart() throws {
    try expect(65, "tokenizer.json", text: Data("Once upon a time".utf8)) { model in
      try edit(model + "/tokenizer.json") { data in
        let text = String(decoding: data, as: UTF8.self)
        data = Data(text.replacingOccurrences(of: "\"BPE\"", with: "\"Abacus\"").utf8)
      }
    }
  }

  @Test func noTokenizer() throws {
    try expect(66, "tokenizer", text: Data("Once upon a time".utf8)) { model in
      try FileManager.default.removeItem(atPath: model + "/tokenizer.json")
    }
  }

  @Test func emptyText() throws { try expect(65, "text.txt", text: Data()) }

  @Test func textThatIsNotUTF8() throws {
    try expect(65, "not UTF-8 text: byte 2", text: Data([0x61, 0x62, 0xFF, 0x63]))
  }

  @Test func tooLittleText() throws {
    try expect(65, "128 samples of 256 take 32768", text: Data("Once upon a time".utf8))
  }

  @Test func noText() throws {
    try expect(66, "nowhere.txt", arguments: ["--calibration", "nowhere.txt"])
  }

  // MARK: - Recipe and request

  @Test func misspeltKey() throws {
    try expect(65, "r.yaml:1: unknown key", recipe: "shceme: { weights: { bits: 4 } }\n")
  }

  @Test func patternForNothing() throws {
    try expect(
      65, "r.yaml:2: 'lm_haed' matches no linear layer",
      recipe: "scheme: { weights: { bits: 4 },\n  ignore: [ lm_haed ] }\nsteps: [ rtn ]\n")
  }

  @Test func groupThatDoesNotDivide() throws {
    try expect(
      65, "groups of 32 do not divide rows of 172",
      recipe: "scheme: { weights: { bits: 4, group: 32 } }\nsteps: [ rtn ]\n")
  }

  @Test func methodWithoutText() throws {
    try expect(
      64, "--calibration", recipe: "scheme: { weights: { bits: 4 } }\nsteps: [ gptq ]\n")
  }

  @Test func tooLittleMemory() throws {
    try expect(64, "more than --memory 1.0 MiB", arguments: ["--memory", "1MiB"])
  }

  @Test(arguments: [
    ["--format", "awq"], ["--format", "pickle"], ["--memory", "lots"], ["--threads", "0"],
    ["--resume", "--overwrite"], ["--samples", "0"], ["--quiet", "--verbose"], ["--nonsense"],
  ])
  func usage(_ arguments: [String]) throws { try expect(64, "Usage:", arguments: arguments) }

  // MARK: - Output

  @Test func outputThatExists() throws {
    try expect(73, "exists already", arguments: ["--output", "model/llama2c"])
  }

  @Test func outputInNoDirectory() throws {
    try expect(73, "create it first", arguments: ["--output", "nowhere/out"])
  }

  @Test func outputBelowAFile() throws {
    try expect(73, "create it first", arguments: ["--output", "r.yaml/out"])
  }

  @Test(.enabled(if: geteuid() != 0, "root may write anywhere"))
  func outputInAReadOnlyDirectory() throws {
    let directory = scratch.path + "/locked"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    chmod(directory, 0o555)
    try expect(73, "make", arguments: ["--output", "locked/out"])
  }

  @Test func otherFormatsAndMissingModels() throws {
    _ = try scratch.write("model.gguf", "GGUF")
    for (path, status) in [("model.gguf", Int32(65)), ("nowhere", 66), ("nowhere.bin", 66)] {
      #expect(try Program.run(["inspect", path], scratch).status == status)
      #expect(try Program.run(["plan", path, "--recipe", "rtn-w8a8"], scratch).status == status)
    }
  }
}
