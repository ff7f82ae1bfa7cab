import Foundation
import HalftoneCheckpoints
import HalftoneSchemes
import HalftoneTensor
import Testing

@Suite struct CheckpointTests {
  /// Two shards and their index, with `change` applied to the index.
  private func sharded(
    _ scratch: ScratchDirectory, _ change: (inout JSONValue) -> Void = { _ in }
  ) throws -> String {
    for (file, name) in [("one", "a"), ("two", "b")] {
      let writer = try SafetensorsWriter(
        path: scratch.path + "/\(file).safetensors",
        tensors: [TensorDescription(name: name, type: .float32, shape: [2])])
      try writer.write(name, Tensor([1, 2]))
      try writer.finish()
    }
    var index: JSONValue = [
      "metadata": [:], "weight_map": ["a": "one.safetensors", "b": "two.safetensors"],
    ]
    change(&index)
    _ = try scratch.file("model.safetensors.index.json", index.serialized())
    _ = try scratch.file("config.json", "{}")
    return scratch.path
  }

  @Test func readsShards() throws {
    let scratch = try ScratchDirectory()
    let store = try Checkpoint(path: sharded(scratch))
    #expect(store.names == ["a", "b"])
    let tensor = try store.tensor("b")
    #expect(tensor.values == [1, 2])
    store.evict("b")
    #expect(tensor.values == [1, 2])
    #expect(try store.byteCount() == 16)
    #expect(store.sideFiles.isEmpty)
  }

  @Test(arguments: [
    "../two.safetensors", "/etc/two.safetensors", "x/../two.safetensors", ".two.safetensors", "",
    "two.bin", "..\\two.safetensors", "one.safetensors",
  ])
  func refusesNamesOfShards(name: String) throws {
    let scratch = try ScratchDirectory()
    let path = try sharded(scratch) { $0["weight_map"]?["b"] = .string(name) }
    #expect(error { _ = try Checkpoint(path: path) }?.code == .malformed)
  }

  @Test func namesWhatIsMissing() throws {
    let scratch = try ScratchDirectory()
    let absent = try sharded(scratch) { $0["weight_map"]?["b"] = "three.safetensors" }
    let found = error { _ = try Checkpoint(path: absent) }
    #expect(found?.code == .missing)
    #expect(found?.message.contains("three.safetensors") == true)

    let unlisted = try sharded(scratch) {
      $0["weight_map"] = ["a": "one.safetensors", "c": "two.safetensors"]
    }
    #expect(error { _ = try Checkpoint(path: unlisted) }?.message.contains("tensor c") == true)
    #expect(error { _ = try Checkpoint(path: scratch.path + "/none") }?.code == .missing)
    try FileManager.default.removeItem(atPath: scratch.path + "/config.json")
    #expect(error { _ = try Checkpoint(path: scratch.path) }?.code == .missing)
  }

  @Test func refusesLinksButThoseOfTheCache() throws {
    let scratch = try ScratchDirectory()
    let blobs = scratch.path + "/blobs"
    let snapshot = scratch.path + "/snapshots/0"
    let files = FileManager.default
    for folder in [blobs, snapshot] {
      try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
    let path = try sharded(scratch)
    for (name, blob) in [
      ("one.safetensors", "a1"), ("two.safetensors", "b2"),
      ("model.safetensors.index.json", "c3"), ("config.json", "d4"),
    ] {
      try files.copyItem(atPath: "\(path)/\(name)", toPath: "\(blobs)/\(blob)")
      try files.createSymbolicLink(
        atPath: "\(snapshot)/\(name)", withDestinationPath: "../../blobs/\(blob)")
    }
    #expect(try Checkpoint(path: snapshot).names == ["a", "b"])
    try files.removeItem(atPath: path + "/two.safetensors")
    try files.createSymbolicLink(
      atPath: path + "/two.safetensors", withDestinationPath: "blobs/b2")
    #expect(error { _ = try Checkpoint(path: path) }?.code == .malformed)
  }

  @Test func pickledWeightsAreRefusedWithARemedy() throws {
    let scratch = try ScratchDirectory()
    _ = try scratch.file("config.json", "{}")
    _ = try scratch.file("pytorch_model.bin", "")
    let found = error { _ = try Checkpoint(path: scratch.path) }
    #expect(found?.code == .missing)
    #expect(found?.message.contains("convert") == true)
  }

  @Test func otherToolsFormatsAreNamed() throws {
    let scratch = try ScratchDirectory()
    _ = try sharded(scratch)
    _ = try scratch.file("config.json", #"{"quantization_config": {"quant_method": "hqq"}}"#)
    let store = try Checkpoint(path: scratch.path)
    #expect(try store.tensor("a").values == [1, 2])
    #expect(error { _ = try store.quantizationConfig() }?.message.contains("hqq") == true)
  }

  @Test(arguments: [ElementType.float32, .float16, .bfloat16])
  func findsTheFirstNumberThatIsNotFinite(type: ElementType) throws {
    let scratch = try ScratchDirectory()
    _ = try scratch.file("config.json", "{}")
    let shape = [700, 1000]
    func store(_ poison: [Int: Float]) throws -> Checkpoint {
      let tensor = Tensor(shape: shape) { out in
        for i in out.indices { out[i] = poison[i] ?? 65504 }
      }
      let writer = try SafetensorsWriter(
        path: scratch.path + "/model.safetensors",
        tensors: [TensorDescription(name: "w", type: StoredType(type), shape: shape)])
      try writer.write("w", tensor.converted(to: type))
      try writer.finish()
      return try Checkpoint(path: scratch.path)
    }
    try store([:]).checkFinite("w")
    let poison: [Int: Float] = [612_345: .nan, 612_344: -.infinity, 699_999: .nan]
    let found = error { try store(poison).checkFinite("w") }
    #expect(found?.code == .malformed)
    #expect(found?.message.contains("tensor w ") == true)
    #expect(found?.message.contains("[612, 344]") == true)
  }

  @Test func shardsAreWrittenBelowTheLimit() throws {
    let scratch = try ScratchDirectory()
    let template = try CompressedTensorsTests.template(scratch)
    let module = "model.layers.0.a"
    let scheme = try CompressedTensorsTests.scheme(4, .group(8), symmetric: false)
    var options = CompressedTensorsWriter.Options()
    options.shardByteLimit = 500
    let weight = try CompressedTensorsTests.quantized(template, module, scheme)
    let writer = try CompressedTensorsWriter(
      output: scratch.path + "/out", template: template,
      modules: [.init(name: module, weights: scheme)], options: options)
    try writer.write(module, weight)
    try writer.replace("model.norm.weight", Tensor(repeating: 2, shape: [24]))
    try writer.addFile("report.json", Array("{}".utf8))
    let staged = try Checkpoint(path: writer.complete())
    #expect(staged.files.count > 2)
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/out"))
    try writer.publish()

    let store = try Checkpoint(path: scratch.path + "/out")
    #expect(store.names.count == template.names.count + 3)
    for file in store.files where file.tensors.count > 1 {
      #expect(file.tensors.reduce(0) { $0 + $1.byteCount } <= 500)
    }
    let index = try JSONValue(
      parsing: contents(scratch.path + "/out/model.safetensors.index.json"))
    #expect(try index["metadata"]?["total_size"]?.int == store.byteCount())
    try CompressedTensorsTests.expectEqual(store.linearWeight(module), weight)
    #expect(try store.tensor("model.norm.weight").values.allSatisfy { $0 == 2 })
    let entries = try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/out")
    #expect(entries.contains("tokenizer.json") && entries.contains("report.json"))
    #expect(!entries.contains("pytorch_model.bin"))
    #expect(!entries.contains { $0.hasPrefix(".") })
    #expect(
      store.config["quantization_config"]?["ignore"]?.array
        == ["lm_head", "model.layers.0.b"])
    #expect(store.config.object?.keys.prefix(3) == ["model_type", "rms_norm_eps", "bound"])
    #expect(
      store.config.serialized(indent: nil).contains(#""rms_norm_eps":1e-05,"bound":Infinity"#))
  }

  @Test func anOutputIsCompleteOrAbsent() throws {
    let scratch = try ScratchDirectory()
    let template = try CompressedTensorsTests.template(scratch)
    let output = scratch.path + "/out"
    func writer(overwrites: Bool) throws -> CompressedTensorsWriter {
      var options = CompressedTensorsWriter.Options()
      options.overwrites = overwrites
      return try CompressedTensorsWriter(
        output: output, template: template, modules: [], options: options)
    }
    var abandoned: CompressedTensorsWriter? = try writer(overwrites: false)
    #expect(try abandoned?.complete().isEmpty == false)
    abandoned = nil
    #expect(try scratch.entries() == ["template"])

    try writer(overwrites: false).finish()
    #expect(error { _ = try writer(overwrites: false) }?.code == .cannotCreate)
    try writer(overwrites: true).finish()
    #expect(try scratch.entries() == ["out", "template"])

    try FileManager.default.removeItem(atPath: output)
    try FileManager.default.createDirectory(
      atPath: output + "/precious", withIntermediateDirectories: true)
    #expect(error { _ = try writer(overwrites: true) }?.code == .cannotCreate)
    #expect(try scratch.entries() == ["out", "template"])
  }
}
