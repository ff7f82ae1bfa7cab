import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftonePipeline
import HalftoneTensor
import HalftoneTestSupport
import HalftoneTokenizers
import Testing

/// GGUF files made without Halftone, against transformers and llama.cpp, by
/// Scripts/golden/gguf_models.py.
@Suite struct GGUFModelTests {
  static let golden = Repository.path("Tests/HalftonePipelineTests/Golden/gguf")

  private func logits(_ model: any LanguageModel, _ ids: [Int], batch: Int = 1) throws -> Tensor {
    let context = model.context(batch: batch, length: ids.count / batch, start: 0)
    var hidden = try model.embed(ids)
    for index in 0..<model.blockCount { hidden = try model.block(index)(hidden, context) }
    return try model.logits(hidden)
  }

  @Test(arguments: [
    "llama-llama3-rope-biases", "llama-linear-rope-old-keys", "qwen2-tied", "qwen3-sharded",
  ])
  func `every architecture gives the logits of the original`(_ name: String) throws {
    let folder = Repository.path("Tests/HalftoneModelsTests/Golden/\(name)")
    let original = try StoredWeights("\(folder)/golden.safetensors")
    let ids = try original.tensor("ids").float().values.map { Int($0) }
    let expected = try original.tensor("logits").float().values
    let model = try OpenedModel(path: "\(Self.golden)/\(name).gguf").model
    let found = try logits(model, ids, batch: 2).values
    let largest = expected.reduce(0) { max($0, abs($1)) }
    let distance = zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) } / largest
    #expect(distance < 1e-4)
  }

  // MARK: - Against llama.cpp

  private struct Record: Decodable {
    struct Greedy: Decodable {
      let prompt: String
      let ids: [Int]
      let new: [Int]
    }
    let greedy: [Greedy]
    let context: Int
    let windows: Int
    let characters: Int
    let perplexity: Double
  }

  private func record() throws -> Record {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(Self.golden)/models.json"))
    return try JSONDecoder().decode(Record.self, from: data)
  }

  @Test func `a quantized file continues texts as llama does`() throws {
    let opened = try OpenedModel(path: "\(Self.golden)/stories260k-Q4_0.gguf")
    let tokenizer = try opened.tokenizer()
    for greedy in try record().greedy {
      var ids = tokenizer.encode(greedy.prompt)
      #expect(ids == greedy.ids)
      for _ in greedy.new {
        let last = try logits(opened.model, ids).values.suffix(opened.model.vocabularySize)
        let best = last.indices.max { last[$0] < last[$1] } ?? 0
        ids.append(best - last.startIndex)
      }
      #expect(Array(ids.dropFirst(greedy.ids.count)) == greedy.new)
    }
  }

  /// llama.cpp quantizes activations and keeps keys and values in halves: half a per cent.
  @Test func `a quantized file has the perplexity it has in llama`() throws {
    let record = try record()
    let opened = try OpenedModel(path: "\(Self.golden)/stories260k-Q4_0.gguf")
    let text = String(
      decoding: try Repository.data("Resources/text/tinystories-test.txt"), as: UTF8.self)
    let start = String(String.UnicodeScalarView(text.unicodeScalars.prefix(record.characters)))
    let ids = try opened.tokenizer().encode(start)
    var (total, count) = (0.0, 0)
    for window in 0..<record.windows {
      let part = Array(ids[window * record.context..<(window + 1) * record.context])
      let rows = try logits(opened.model, part)
      for (i, next) in part.dropFirst().enumerated() {
        let row = rows.values[i * rows.columns..<(i + 1) * rows.columns].map { Double($0) }
        let top = row.max() ?? 0
        total += log(row.reduce(0) { $0 + exp($1 - top) }) + top - row[next]
        count += 1
      }
    }
    #expect(abs(exp(total / Double(count)) / record.perplexity - 1) < 0.005)
  }

  // MARK: - Tokenizers

  private struct Tokenizations: Decodable {
    struct Case: Decodable {
      let file: String
      let pre: String
      let ids: [[Int]]
    }
    let strings: [String]
    let cases: [Case]
  }

  private func vocabulary(_ file: String) throws -> GGUFVocabulary {
    let file = try GGUFFile(path: "\(Self.golden)/\(file)")
    var vocabulary = GGUFVocabulary(
      model: try #require(file["tokenizer.ggml.model"]?.string),
      tokens: try #require(file["tokenizer.ggml.tokens"]?.array?.strings))
    vocabulary.scores = file["tokenizer.ggml.scores"]?.array?.numbers?.map { Float($0) }
    vocabulary.types = file["tokenizer.ggml.token_type"]?.array?.integers
    vocabulary.merges = file["tokenizer.ggml.merges"]?.array?.strings
    vocabulary.unknown = file["tokenizer.ggml.unknown_token_id"]?.int
    return vocabulary
  }

  @Test func `strings have the ids that llama gives them`() throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(Self.golden)/tokenizers.json"))
    let golden = try JSONDecoder().decode(Tokenizations.self, from: data)
    #expect(golden.cases.count == 8)
    for example in golden.cases {
      var vocabulary = try vocabulary(example.file)
      vocabulary.pre = example.pre
      let tokenizer = try Tokenizers.load(vocabulary, file: example.file)
      for (text, ids) in zip(golden.strings, example.ids) {
        let found = tokenizer.encode(text, addingSpecialTokens: false)
        #expect(found == ids, "\(example.file) \(example.pre): \(text.debugDescription)")
        // With bytes for everything else nothing is lost but what stands for spaces; after special
        // tokens text gets a space.
        if example.pre == "llama", !text.contains("<"), !text.contains("\u{2581}") {
          #expect(tokenizer.decode(found, skippingSpecialTokens: false) == text)
        }
      }
    }
  }

  @Test func `a vocabulary that cannot be used is refused with the reason`() throws {
    func message(_ change: (inout GGUFVocabulary) -> Void) throws -> String {
      var vocabulary = try vocabulary("gpt2.gguf")
      change(&vocabulary)
      let error = #expect(throws: TokenizerError.self) {
        try Tokenizers.load(vocabulary, file: "x.gguf")
      }
      return error?.description ?? ""
    }
    #expect(try message { $0.pre = "bloom-2" }.contains("\"bloom-2\" is not supported"))
    #expect(try message { $0.model = "bert" }.contains("\"bert\" is not supported"))
    #expect(try message { $0.merges = nil }.contains("merges is missing"))
    #expect(try message { $0.merges = [Array("ab".utf8)] }.contains("merge 0 has no space"))
    #expect(try message { $0.merges = [Array("Q! Q!".utf8)] }.contains("joins what is no token"))
    #expect(try message { $0.types?.removeLast() }.contains("token_type has"))
    #expect(try message { $0.endOfText = 1 << 20 }.contains("eos_token_id is 1048576 of"))
    #expect(try message { $0.model = "llama" }.contains("scores is missing"))
  }
}
