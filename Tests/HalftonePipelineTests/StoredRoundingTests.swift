import HalftoneCheckpoints
import HalftoneInference
import HalftoneLayers
import HalftonePipeline
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Keys and values, and inputs in groups, that compressed-tensors files say how to round.
@Suite struct StoredRoundingTests {
  private let files: ConversionFiles

  init() throws { files = try ConversionFiles() }

  /// Keys and values beyond the grid are clipped, which changes logits by 0.8.
  @Test(arguments: ["cache-fp8", "cache-int8-heads"])
  func `keys and values are rounded as compressed-tensors does`(_ name: String) throws {
    let folder = "\(ConversionFiles.golden)/compressed-tensors/\(name)"
    let expected = try StoredWeights("\(folder)/golden.safetensors")
    let ids = try expected.tensor("ids").float().values.map { Int($0) }
    let reference = try expected.tensor("logits").float().values
    let model = try OpenedModel(path: folder).model
    func distance(_ found: [Float]) -> Float {
      zip(found, reference).reduce(0) { max($0, abs($1.0 - $1.1)) }
    }
    #expect(distance(try ConversionFiles.logits(model, ids, batch: 2)) < 1e-4)
    // The engine keeps what was rounded in halves.
    let engine = try Engine(model, options: EngineOptions(inputs: .float))
    let hidden = try engine.hidden(ids, count: 2)
    #expect(distance(engine.logits(hidden).values) < 2e-2)
    // Without the rounding.
    _ = try files.convert(folder, .safetensors, .float32, to: "dense")
    let dense = try OpenedModel(path: files.scratch.path + "/dense")
    #expect(try dense.store.storedCache("model.layers.0.self_attn") == nil)
    #expect(!dense.store.names.contains { $0.hasSuffix("k_scale") })
    #expect(distance(try ConversionFiles.logits(dense.model, ids, batch: 2)) > 0.2)
  }

  @Test(arguments: ["mxfp4-inputs", "mxfp6-inputs", "mxfp8-inputs", "nvfp4-inputs"])
  func `inputs in groups are rounded as compressed-tensors does`(_ name: String) throws {
    let folder = "\(ConversionFiles.golden)/compressed-tensors/\(name)"
    let expected = try StoredWeights("\(folder)/golden.safetensors")
    let ids = try expected.tensor("ids").float().values.map { Int($0) }
    let reference = try expected.tensor("logits").float().values
    func distance(_ found: [Float]) -> Float {
      zip(found, reference).reduce(0) { max($0, abs($1.0 - $1.1)) }
    }
    let model = try OpenedModel(path: folder).model
    let found = try ConversionFiles.logits(model, ids, batch: 2)
    #expect(distance(found) < 1e-4, "\(distance(found))")
    let engine = try Engine(model, options: EngineOptions(inputs: .float))
    let ours = engine.logits(try engine.hidden(ids, count: 2)).values
    // Halves in the cache turn codes.
    #expect(distance(ours) < 0.5, "\(distance(ours))")
    _ = try files.convert(folder, .safetensors, .float32, to: "dense")
    let plain = try ConversionFiles.logits(
      OpenedModel(path: files.scratch.path + "/dense").model, ids, batch: 2)
    #expect(distance(plain) > 0.3, "\(distance(plain))")
  }

  @Test func `inputs in groups are kept where there is a place`() throws {
    let folder = "\(ConversionFiles.golden)/compressed-tensors/nvfp4-inputs"
    #expect(try files.convert(folder, .compressedTensors, to: "ct") == [])
    let (a, b) = (try Checkpoint(path: folder), try files.store("ct"))
    for module in try a.quantizedModules() {
      #expect(try a.storedInputScheme(module) == b.storedInputScheme(module))
    }
    let group = b.config["quantization_config"]?["config_groups"]?["group_0"]
    #expect(group?["input_activations"]?["dynamic"]?.string == "local")
    let layers = try Inspection(path: folder).layers
    #expect(layers.first?.inputs == "e2m1 group 16 symmetric dynamic e4m3 scales")
    let notices = try files.convert(
      "\(ConversionFiles.golden)/compressed-tensors/mxfp4-inputs", .mlx, to: "mlx")
    #expect(notices.contains { $0.contains("inputs are e2m1 group 32") }, "\(notices)")
  }

  @Test func `scales of keys and values are kept where there is a place`() throws {
    let folder = "\(ConversionFiles.golden)/compressed-tensors/cache-int8-heads"
    #expect(try files.convert(folder, .compressedTensors, to: "ct") == [])
    let (a, b) = (try Checkpoint(path: folder), try files.store("ct"))
    let layer = "model.layers.0.self_attn"
    #expect(try a.storedCache(layer)?.keys.count == 2)
    #expect(try a.storedCache(layer) == b.storedCache(layer))
    #expect(
      b.config["quantization_config"]?["kv_cache_scheme"]
        == a.config["quantization_config"]?["kv_cache_scheme"])
    let notices = try files.convert(folder, .safetensors, .float32, to: "f32")
    #expect(notices.contains { $0.contains("keys and values are cached as int8") })
    #expect(try Inspection(path: folder).cache == "int8 tensor symmetric static")
  }
}
