import HalftoneCheckpoints
import HalftoneTensor
import Testing

@Suite struct Llama2CTests {
  static let file = resource("models/stories260k/llama2c/stories260K.bin")

  /// The same model in both formats, which the rotary order of queries and keys tells apart.
  @Test func equalsTheHuggingFaceDirectory() throws {
    let file = try Llama2CCheckpoint(path: Self.file)
    let directory = try Checkpoint(path: resource("models/stories260k"))
    #expect(file.names == directory.names)
    for name in file.names {
      #expect(try file.description(of: name) == directory.description(of: name))
      #expect(try file.bytes(of: name) == directory.bytes(of: name), "\(name)")
    }
    for key in file.config.object?.keys ?? [] where key != "rope_theta" {
      #expect(file.config[key]?.double == directory.config[key]?.double, "\(key)")
      #expect(file.config[key]?.string == directory.config[key]?.string, "\(key)")
      #expect(file.config[key]?.bool == directory.config[key]?.bool, "\(key)")
    }
    #expect(file.config["rms_norm_eps"]?.double == 1e-5)
    #expect(file.config["rope_theta"]?.double == 10000)
    guard case .dense(let weight) = try file.linearWeight("model.layers.0.mlp.up_proj") else {
      Issue.record("a quantized weight")
      return
    }
    #expect(weight.shape == [172, 64])
  }

  @Test func aNegativeVocabularyHasAClassifier() throws {
    // dim 4, hidden 2, one layer, one head, 3 words, 2 positions.
    let sizes: [Int32] = [4, 2, 1, 1, 1, -3, 2]
    let floats = 12 + 4 + 4 * 16 + 4 + 3 * 8 + 4 + 2 * 2 * 2 + 12
    let header = sizes.flatMap { size in withUnsafeBytes(of: size.littleEndian) { Array($0) } }
    let body = (0..<floats).flatMap { index in
      withUnsafeBytes(of: Float(index).bitPattern.littleEndian) { Array($0) }
    }
    let scratch = try ScratchDirectory()
    let store = try Llama2CCheckpoint(path: scratch.file("a.bin", header + body))
    #expect(store.config["tie_word_embeddings"]?.bool == false)
    let start = Float(floats - 12)
    #expect(try store.tensor("lm_head.weight").values == (0..<12).map { start + Float($0) })
    // Rows 0, 1, 2, 3 of one head of 4 were pairs (0, 2), (1, 3): 0, 2, 1, 3 is put back.
    let query = try store.tensor("model.layers.0.self_attn.q_proj.weight")
    #expect(query.values.map { ($0 - 16) / 4 }.filter { $0 == $0.rounded() } == [0, 2, 1, 3])
    for count in [0, 27, 28, header.count + body.count - 1] {
      let path = try scratch.file("short.bin", Array((header + body).prefix(count)))
      #expect(error { _ = try Llama2CCheckpoint(path: path) }?.code == .malformed)
    }
    let long = try scratch.file("long.bin", header + body + [0])
    #expect(error { _ = try Llama2CCheckpoint(path: long) }?.code == .malformed)
  }

  @Test(
    arguments: [
      [0, 2, 1, 1, 1, 3, 2], [4, 2, 1, 1, 1, 0, 2], [4, 2, -1, 1, 1, 3, 2], [4, 2, 1, 3, 1, 3, 2],
      [4, 2, 1, 4, 1, 3, 2], [.max, .max, 99999, 1, 1, .max, .max],
      [0x616B_3432, 1, 4, 2, 1, 1, 1],
      [.max - 1, .max, .max, 1, 1, .min, .max],
    ] as [[Int32]])
  func refusesSizesThatMakeNoModel(sizes: [Int32]) throws {
    let header = sizes.flatMap { size in withUnsafeBytes(of: size.littleEndian) { Array($0) } }
    let scratch = try ScratchDirectory()
    let path = try scratch.file("a.bin", header + [UInt8](repeating: 0, count: 1024))
    #expect(error { _ = try Llama2CCheckpoint(path: path) }?.code == .malformed)
  }
}
