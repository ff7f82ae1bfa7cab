import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftonePipeline
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// The blocks of GGUF files in the layouts of other tools.
@Suite struct GGUFConversionTests {
  private let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private static let books = Repository.path("Resources/models/books-7m")

  /// books-7m in a mix of types.
  private func file(_ mix: String) throws -> String {
    let path = scratch.path + "/model.gguf"
    try GGUFExport(OpenedModel(path: Self.books), mix: try #require(GGUFMix(mix))).write(to: path)
    return path
  }

  private func convert(
    _ path: String, _ target: FormatConversion.Target, _ type: ElementType? = nil
  ) throws -> (store: Checkpoint, notices: [String]) {
    let conversion = try FormatConversion(OpenedModel.store(path), to: target, type: type)
    _ = try conversion.write(to: scratch.path + "/out")
    return (try Checkpoint(path: scratch.path + "/out"), conversion.notices)
  }

  /// Nibble j of a block's sixteen bytes, the low ones first, is code + 8 (Q4_0 of ggml), in a file that
  /// ggml's own quantizer wrote.
  @Test func `codes of Q4_0 are the nibbles of the file`() throws {
    let path = Repository.path("Tests/HalftonePipelineTests/Golden/gguf/stories260k-Q4_0.gguf")
    let source = try GGUFCheckpoint(path: path)
    let (written, notices) = try convert(path, .compressedTensors)
    #expect(notices.contains { $0.contains("no tokenizer.json") }, "\(notices)")
    var count = 0
    for module in try written.quantizedModules() {
      guard case .blocks(let matrix) = try source.linearWeight(module), matrix.type == .q40,
        case .quantized(let weight) = try written.linearWeight(module)
      else { continue }
      count += 1
      let blocks = matrix.orderedBytes().withBytes { Array($0) }
      var codes: [Float] = []
      var scales: [Float] = []
      for start in stride(from: 0, to: blocks.count, by: 18) {
        scales.append(
          Tensor(shape: [1], elementType: .float16) { out in
            out.copyBytes(from: blocks[start..<start + 2])
          }.float().scalar)
        let bytes = blocks[start + 2..<start + 18]
        codes += bytes.map { Float($0 & 15) - 8 } + bytes.map { Float($0 >> 4) - 8 }
      }
      #expect(weight.codes.float().values == codes)
      #expect(weight.levels[0].values == scales)
      #expect(weight.zeroPoints == nil && scales.contains { $0 < 0 })
    }
    #expect(count >= 20, "\(count)")
    #expect(written.problems().isEmpty, "\(written.problems())")
  }

  static let kept: [(String, FormatConversion.Target, ElementType?)] = [
    ("q4_0", .compressedTensors, nil), ("q4_0", .gptq, nil), ("q4_0", .awq, nil),
    ("q4_0", .mlx, .float16), ("q8_0", .compressedTensors, nil), ("q8_0", .gptqV2, nil),
    ("q8_0", .mlx, .float16), ("q5_0", .compressedTensors, nil), ("q6_k", .compressedTensors, nil),
    ("q3_k_s", .compressedTensors, nil), ("mxfp4", .compressedTensors, nil), ("mxfp4", .mlx, nil),
    ("q4_1", .mlx, .float16), ("q5_1", .mlx, .float32), ("q4_k_s", .mlx, .float32),
    ("tq2_0", .gptqV2, nil), ("tq2_0", .mlx, .float16),
  ]

  @Test(arguments: kept) func `codes and numbers are kept`(
    _ mix: String, _ target: FormatConversion.Target, _ type: ElementType?
  ) throws {
    let path = try file(mix)
    let source = try GGUFCheckpoint(path: path)
    let (written, notices) = try convert(path, target, type)
    #expect(!notices.contains { $0.contains("scales are rounded") }, "\(notices)")
    #expect(written.problems().isEmpty, "\(written.problems())")
    let hasMinima = ["q4_1", "q5_1", "q4_k_s"].contains(mix)
    var count = 0
    for module in try written.quantizedModules() where module.contains("layers.") {
      count += 1
      let stored = try #require(try source.storedCodes(module)).weight
      let found = try #require(try written.storedCodes(module)).weight
      #expect(found.codes.hasSameBits(as: stored.codes), "\(module)")
      #expect(found.format.name == stored.format.name)
      let (a, b) = (found.dequantized().values, try source.tensor(module + ".weight").values)
      let largest = b.reduce(0) { max($0, abs($1)) }
      let distance = zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
      #expect(distance <= (hasMinima ? 0x1p-20 * largest : 0), "\(module) \(distance)")
    }
    #expect(count >= 14, "\(count)")
    let ids = Array(3..<20)
    let models = try [path, written.path].map { try OpenedModel(path: $0).model }
    let logits = try models.map { model in
      let context = model.context(batch: 1, length: ids.count, start: 0)
      var hidden = try model.embed(ids)
      for index in 0..<model.blockCount { hidden = try model.block(index)(hidden, context) }
      return try model.logits(hidden).values
    }
    let distance = zip(logits[0], logits[1]).reduce(0) { max($0, abs($1.0 - $1.1)) }
    #expect(distance < 1e-3, "\(distance)")
  }

  @Test(arguments: [
    ("q4_1", FormatConversion.Target.awq, "no whole number"),
    ("q4_1", .gptqV2, "no whole number"), ("iq4_nl", .compressedTensors, "codes of a table"),
    ("q6_k", .mlx, "scales for 32, 64 or 128 columns"), ("f16", .gptq, "is not quantized"),
    ("q5_0", .gptq, "2, 3, 4 and 8 bits"),
  ])
  func `what does not fit is refused by name`(
    _ mix: String, _ target: FormatConversion.Target, _ words: String
  ) throws {
    let path = try file(mix)
    let error = #expect(throws: PipelineError.self) { try convert(path, target) }
    #expect(error?.message.contains(words) == true, "\(String(describing: error))")
    #expect(mix == "f16" || error?.message.contains("model.layers.0.") == true)
    #expect(try scratch.entries() == ["model.gguf"])
  }

  @Test(arguments: ["q4_k_m", "iq4_xs", "tq2_0", "bf16"], [ElementType.float32, .bfloat16])
  func `every type can be dequantized`(_ mix: String, _ type: ElementType) throws {
    let path = try file(mix)
    let source = try GGUFCheckpoint(path: path)
    let (written, _) = try convert(path, .safetensors, type)
    #expect(written.names == source.names)
    for name in source.names {
      let expected = try source.tensor(name).float().converted(to: type)
      #expect(try written.tensor(name).hasSameBits(as: expected), "\(name)")
    }
    _ = try OpenedModel(path: written.path)
  }
}
