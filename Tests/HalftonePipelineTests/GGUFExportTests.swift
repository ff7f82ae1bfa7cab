import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftonePipeline
import HalftoneReport
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import HalftoneTokenizers
import Testing

/// GGUF files that Halftone writes; that llama.cpp runs them is Scripts/interop/gguf_files.py.
@Suite struct GGUFExportTests {
  private let scratch: Scratch
  private let tiny = Repository.path("Tests/HalftoneModelsTests/Golden")

  init() throws { scratch = try Scratch() }

  /// The model at `path` as a file of this mix, opened again.
  private func exported(
    _ path: String, _ mix: String, to name: String = "x.gguf"
  ) throws -> (model: OpenedModel, export: GGUFExport) {
    let export = try GGUFExport(OpenedModel(path: path), mix: try #require(GGUFMix(mix)))
    let output = "\(scratch.path)/\(name)"
    try export.write(to: output, overwriting: true)
    return (try OpenedModel(path: output), export)
  }

  // MARK: - Numbers

  @Test func floatsAreKept() throws {
    let original = try OpenedModel(path: Fixture.model)
    let written = try exported(Fixture.model, "f32").model
    #expect(written.store.names == original.store.names)
    for name in original.store.names {
      let values = try original.store.tensor(name).float().values
      #expect(try written.store.tensor(name).float().values == values, "\(name)")
    }
    #expect(try scratch.entries() == ["x.gguf"])
  }

  @Test func rowsAreThoseOfTheFileFromGGUFPy() throws {
    let theirs = try GGUFFile(path: "\(GGUFModelTests.golden)/stories260k-Q4_0.gguf")
    _ = try exported(Fixture.model, "q4_0")
    let ours = try GGUFFile(path: "\(scratch.path)/x.gguf")
    #expect(Set(ours.tensors.map(\.name)) == Set(theirs.tensors.map(\.name)))
    for tensor in theirs.tensors where tensor.name != "token_embd.weight" {
      #expect(try ours.description(of: tensor.name) == tensor)
      let expected = try theirs.withBytes(of: tensor.name) { Data($0) }
      #expect(try ours.withBytes(of: tensor.name) { Data($0) } == expected, "\(tensor.name)")
    }
  }

  @Test func aModelWithoutTokenizerIsRefused() throws {
    let error = #expect(throws: (any Error).self) {
      try GGUFExport(
        OpenedModel(path: "\(tiny)/qwen2-tied"), mix: try #require(GGUFMix("f32")))
    }
    #expect(error.map { "\($0)" }?.contains("neither tokenizer.json") == true)
  }

  /// Biases, head norms, rotary divisors and linear scaling, with a tokenizer borrowed.
  @Test(arguments: [
    "llama-llama3-rope-biases", "llama-linear-rope-old-keys", "qwen2-tied", "qwen3-sharded",
  ])
  func networksOfEveryKindAreKept(name: String) throws {
    let folder = "\(scratch.path)/\(name)"
    try FileManager.default.copyItem(atPath: "\(tiny)/\(name)", toPath: folder)
    try? FileManager.default.removeItem(atPath: "\(folder)/golden.safetensors")
    _ = try scratch.write("\(name)/tokenizer.json", Self.smallTokenizer)
    let original = try OpenedModel(path: folder)
    let written = try exported(folder, "f32").model
    #expect(written.store.names == original.store.names)
    for tensor in original.store.names {
      let values = try original.store.tensor(tensor).float().values
      #expect(try written.store.tensor(tensor).float().values == values, "\(tensor)")
    }
    // The divisors of Llama 3.1's formula are stored as floats.
    let (ours, theirs) = (written.model, original.model)
    let angles = (
      ours.context(batch: 1, length: 8, start: 0), theirs.context(batch: 1, length: 8, start: 0)
    )
    #expect(
      zip(angles.0.cosine.values, angles.1.cosine.values).allSatisfy { abs($0 - $1) < 1e-5 })
    #expect(ours.contextLength == theirs.contextLength)
  }

  private static let smallTokenizer = """
    {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
     "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
     "added_tokens": [], "decoder": {"type": "ByteLevel"}}
    """

  @Test func aFileIsRewrittenUnchanged() throws {
    _ = try exported(Fixture.model, "q5_1", to: "one.gguf")
    _ = try exported("\(scratch.path)/one.gguf", "q5_1", to: "two.gguf")
    let (one, two) = (
      try GGUFFile(path: "\(scratch.path)/one.gguf"),
      try GGUFFile(path: "\(scratch.path)/two.gguf")
    )
    for tensor in one.tensors {
      let bytes = try one.withBytes(of: tensor.name) { Data($0) }
      #expect(try two.withBytes(of: tensor.name) { Data($0) } == bytes, "\(tensor.name)")
    }
  }

  // MARK: - Tokenizers

  @Test(arguments: ["stories260k", "books-7m", "stories260k/llama2c/stories260K.bin"])
  func textHasTheIdsOfTheOriginal(name: String) throws {
    let path = Repository.path("Resources/models/\(name)")
    let original = try OpenedModel(path: path).tokenizer()
    let written = try exported(path, "f16").model.tokenizer()
    let text = String(
      decoding: try Repository.data("Resources/text/tinystories-test.txt")
        .prefix(20_000), as: UTF8.self)
    for part in [text, "  Two  spaces\n\nand lines\t", "1234 ünïcödé 日本 🙂", ""] {
      // A llama2.c tokenizer adds nothing to an empty text but the beginning, as the others.
      #expect(written.encode(part) == original.encode(part))
    }
    let ids = original.encode(text)
    #expect(
      written.decode(ids, skippingSpecialTokens: true)
        == original.decode(ids, skippingSpecialTokens: true))
  }

  // MARK: - Types

  @Test func rowsThatAreNoBlocksAreNamed() throws {
    let (model, export) = try exported(Fixture.model, "q4_k_m")
    let name = "model.layers.0.mlp.down_proj"
    #expect(
      export.notices.contains(
        "\(name): rows of 172 are no whole number of blocks of 256, so it is stored as F16 instead "
          + "of Q4_K"))
    #expect(try model.store.description(of: name + ".weight").typeName == "F16")
    #expect(try model.store.description(of: "model.embed_tokens.weight").typeName == "Q8_0")
  }

  @Test func mixesGiveMoreBitsWhereItMatters() throws {
    let model = try OpenedModel(path: Repository.path("Resources/models/books-7m"))
    let export = try GGUFExport(model, mix: try #require(GGUFMix("q4_K_M")))
    func types(_ kind: String) -> [String] {
      (0..<8).compactMap { block in
        export.entries.first { $0.name == "model.layers.\(block).\(kind).weight" }?.type.name
      }
    }
    // Of eight blocks the first, the last, and every third from the fourth on.
    let expected = ["Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q6_K"]
    #expect(types("mlp.down_proj") == expected)
    #expect(types("self_attn.v_proj") == expected)
    #expect(Set(types("mlp.up_proj")) == ["Q4_K"])
    #expect(export.entries.first?.type.name == "Q6_K")
    #expect(Set(export.entries.filter { $0.shape.count == 1 }.map(\.type.name)) == ["F32"])
  }

  @Test func mixesAreFoundByName() {
    #expect(GGUFMix("Q4_K")?.name == "q4_k_m")
    #expect(GGUFMix("bf16")?.name == "bf16")
    #expect(GGUFMix("q4_2") == nil)
    #expect(GGUFMix.names.allSatisfy { GGUFMix($0)?.name == $0 })
  }

  // MARK: - Runs

  private func run(_ scheme: String) throws -> QuantizationRun {
    let recipe = try Recipe(yaml: "scheme: { \(scheme) }\nsteps: [ rtn ]", source: "r.yaml")
    var options = QuantizationOptions(
      model: Fixture.model, recipe: recipe, output: scratch.path + "/q.gguf")
    options.format = .gguf
    return QuantizationRun(options)
  }

  /// The schemes that files hold, the types they get, and how far scales in halves may be off.
  @Test(arguments: [
    ("weights: { bits: 4 }", "Q4_0"), ("weights: { bits: 3, group: 32 }", "Q4_0"),
    ("weights: { bits: 5, group: 32 }", "Q5_0"), ("weights: { bits: 8 }", "Q8_0"),
    ("weights: { bits: 4, symmetric: false, group: 32 }", "Q4_1"),
    ("weights: { bits: 5, symmetric: false }", "Q5_1"),
    ("weights: { bits: 7, symmetric: false }", "Q8_0"),
    ("weights: { bits: 8, symmetric: false }", "F16"),
  ])
  func codesOfARunAreKept(scheme: String, type: String) throws {
    // Rows of 172 are no whole number of 32.
    var run = try run(scheme + ", ignore: [ \"layers.*.mlp.down_proj\" ]")
    var notices: [String] = []
    run.warn = { notices.append($0) }
    let record = try run()
    let written = try OpenedModel(path: scratch.path + "/q.gguf")
    #expect(record.bytesAfter == (try written.store.byteCount()))
    let name = "model.layers.2.self_attn.q_proj"
    #expect(try written.store.description(of: name + ".weight").typeName == type)
    let isWidened = notices.contains { $0.contains("bits on such a grid") }
    #expect(isWidened == (scheme.contains("bits: 3") || scheme.contains("bits: 7")))
    let stored = try GGUFFile(path: scratch.path + "/q.gguf")["halftone.recipe"]?.string
    #expect(stored?.contains("rtn") == true)
    #expect(try scratch.entries() == ["q.gguf"])
  }

  @Test func groupsThatNoTypeHasAreNamedBeforeTheRun() throws {
    var run = try run("weights: { bits: 4, group: 4 }")
    var notices: [String] = []
    run.warn = { notices.append($0) }
    run.shouldStop = { true }
    #expect(throws: PipelineError.self) { try run() }
    #expect(notices.contains { $0.contains("no GGUF type holds int4 group 4 symmetric") })
  }

  // MARK: - Output

  @Test func whatIsThereIsNotReplacedUnasked() throws {
    let export = try GGUFExport(
      OpenedModel(path: Fixture.model), mix: try #require(GGUFMix("f16")))
    func code(_ path: String, overwriting: Bool = false) -> PipelineError.Code? {
      let error = #expect(throws: PipelineError.self) {
        try export.write(to: path, overwriting: overwriting)
      }
      return error?.code
    }
    let path = try scratch.write("there.gguf", "something")
    #expect(code(path) == .cannotCreate)
    #expect(code(scratch.path + "/x.bin") == .usage)
    #expect(code(scratch.path + "/nowhere/x.gguf") == .cannotCreate)
    try export.write(to: path, overwriting: true)
    let again = try GGUFExport(OpenedModel(path: path), mix: try #require(GGUFMix("f16")))
    let error = #expect(throws: PipelineError.self) {
      try again.write(to: path, overwriting: true)
    }
    #expect(error?.code == .usage)
  }
}
