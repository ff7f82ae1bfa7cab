import Foundation
import HalftoneCheckpoints
import HalftoneSchemes
import HalftoneTensor
import Testing

/// What is written is read back: every number of bits, granularity and kind of zero point.
@Suite struct CompressedTensorsTests {
  static let granularities: [Granularity] = [.tensor, .channel, .group(8)]

  /// A model of two layers, an embedding and a norm; rows of 24 columns fill no whole words.
  static func template(_ scratch: ScratchDirectory) throws -> Checkpoint {
    let path = scratch.path + "/template"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let tensors = [
      "model.layers.0.a.weight": noise([10, 24], seed: 1),
      "model.layers.0.b.weight": noise([6, 40], seed: 2),
      "model.layers.0.a.bias": noise([10], seed: 3),
      "model.embed_tokens.weight": noise([7, 24], seed: 4).converted(to: .bfloat16),
      "model.norm.weight": noise([24], seed: 5),
    ]
    let writer = try SafetensorsWriter(
      path: path + "/model.safetensors",
      tensors: tensors.map {
        TensorDescription(name: $0, type: StoredType($1.elementType), shape: $1.shape)
      })
    for (name, tensor) in tensors { try writer.write(name, tensor) }
    try writer.finish()
    let config = #"{"model_type": "x", "rms_norm_eps": 1e-05, "bound": Infinity}"#
    try Data(config.utf8).write(to: URL(fileURLWithPath: path + "/config.json"))
    try Data("{}".utf8).write(to: URL(fileURLWithPath: path + "/tokenizer.json"))
    try Data("old".utf8).write(to: URL(fileURLWithPath: path + "/pytorch_model.bin"))
    return try Checkpoint(path: path)
  }

  static func scheme(_ bits: Int, _ granularity: Granularity, symmetric: Bool) throws
    -> WeightScheme
  {
    WeightScheme(
      format: try IntegerFormat(bits: bits), granularity: granularity, symmetric: symmetric,
      range: .minMax)
  }

  static func quantized(_ store: Checkpoint, _ module: String, _ scheme: WeightScheme) throws
    -> QuantizedTensor
  {
    let weight = try store.tensor(module + ".weight").float()
    return try scheme.grids(for: weight).quantize(weight, format: scheme.format)
  }

  static func expectEqual(_ stored: StoredWeight, _ expected: QuantizedTensor) throws {
    guard case .quantized(let weight) = stored else {
      Issue.record("a dense weight came back")
      return
    }
    #expect(weight.format.values == expected.format.values)
    #expect(weight.codes.bytes == expected.codes.bytes)
    #expect(weight.levels.map(\.shape) == expected.levels.map(\.shape))
    #expect(weight.levels[0].values == expected.levels[0].values)
    #expect(weight.zeroPoints?.values == expected.zeroPoints?.values)
    #expect(weight.dequantized().values == expected.dequantized().values)
  }

  @Test(arguments: 2...8, [true, false])
  func roundTrip(bits: Int, symmetric: Bool) throws {
    let scratch = try ScratchDirectory()
    let template = try Self.template(scratch)
    let inputs: [InputScheme?] = [
      nil,
      InputScheme(
        format: try IntegerFormat(bits: 8), granularity: .token, symmetric: true, dynamic: true),
      InputScheme(
        format: try IntegerFormat(bits: 8), granularity: .tensor, symmetric: false, dynamic: false),
    ]
    for (index, granularity) in Self.granularities.enumerated() {
      for (other, input) in inputs.enumerated() {
        let scheme = try Self.scheme(bits, granularity, symmetric: symmetric)
        try expectRoundTrip(template, scheme, input, scratch.path + "/out-\(index)-\(other)")
      }
    }
  }

  private func expectRoundTrip(
    _ template: Checkpoint, _ scheme: WeightScheme, _ input: InputScheme?, _ output: String
  ) throws {
    let modules = ["model.layers.0.a", "model.layers.0.b"]
    let writer = try CompressedTensorsWriter(
      output: output, template: template,
      modules: modules.map { .init(name: $0, weights: scheme, inputs: input) })
    var expected: [String: QuantizedTensor] = [:]
    for module in modules {
      let weight = try Self.quantized(template, module, scheme)
      expected[module] = weight
      try writer.write(module, weight, inputs: (scale: 0.125, zeroPoint: -3))
    }
    try writer.finish()

    let written = try Checkpoint(path: output)
    for module in modules {
      try Self.expectEqual(
        written.linearWeight(module), #require(expected[module]))
      let stored = try written.storedInputScheme(module)
      switch input {
      case let input? where input.dynamic: #expect(stored == .dynamic(input))
      case let input?: #expect(stored == .fixed(input, scale: 0.125, zeroPoint: -3))
      case nil: #expect(stored == nil)
      }
    }
    for name in ["model.layers.0.a.bias", "model.embed_tokens.weight", "model.norm.weight"] {
      #expect(try written.bytes(of: name) == template.bytes(of: name))
    }
  }

  /// Codes of 3, 5, 6 and 7 bits did not cross words in files written before June 2026.
  @Test(arguments: [3, 5, 6, 7])
  func readsTheOlderPacking(bits: Int) throws {
    let (rows, columns, groups) = (14, 96, 3)
    let offset = 1 << (bits - 1)
    let codes = (0..<rows * columns).map { ($0 * 7 + $0 / 5) % (2 * offset) - offset }
    let zeros = (0..<rows * groups).map { ($0 * 3) % (2 * offset) - offset }
    let perWord = 32 / bits

    /// One line of codes, so many in a word from its low end.
    func words(_ line: [Int]) -> [Int32] {
      stride(from: 0, to: line.count, by: perWord).map { start in
        line[start..<min(start + perWord, line.count)].enumerated().reduce(Int32(0)) {
          $0 | Int32(truncatingIfNeeded: ($1.element + offset) << ($1.offset * bits))
        }
      }
    }
    let packed = (0..<rows).flatMap { words(Array(codes[$0 * columns..<($0 + 1) * columns])) }
    let lines = (0..<groups).map { group in words((0..<rows).map { zeros[$0 * groups + group] }) }
    let packedZeros = lines[0].indices.flatMap { word in lines.map { $0[word] } }

    let scratch = try ScratchDirectory()
    try writeLayer(scratch, bits, packed, packedZeros, shape: [rows, columns], groups: groups)
    guard case .quantized(let weight) = try Checkpoint(path: scratch.path).linearWeight("m") else {
      Issue.record("a dense weight came back")
      return
    }
    #expect(weight.codes.float().values == codes.map { Float($0) })
    #expect(weight.zeroPoints?.values == zeros.map { Float($0) })
  }

  /// 33 codes of 4 bits take five words, of the last four bits; 96 of 5 bits in separate words leave
  /// two bits of each.
  @Test(arguments: [(4, 33, 4), (4, 33, 31), (5, 96, 31), (5, 96, 30)])
  func refusesBitsBehindTheCodes(bits: Int, columns: Int, bit: Int) throws {
    let scratch = try ScratchDirectory()
    let perWord = 32 / bits
    let words = (columns + perWord - 1) / perWord
    let zeros = [Int32](repeating: 0, count: 1)
    var packed = [Int32](repeating: 0, count: 2 * words)
    func write() throws {
      try writeLayer(scratch, bits, packed, zeros, shape: [2, columns], groups: 1, perRow: true)
    }
    try write()
    _ = try Checkpoint(path: scratch.path).linearWeight("m")
    packed[words + (bits == 4 ? words - 1 : 3)] = Int32(bitPattern: 1 << UInt32(bit))
    try write()
    let found = error { _ = try Checkpoint(path: scratch.path).linearWeight("m") }
    #expect(found?.message.contains("has bits set behind the \(columns) codes of row 1") == true)
  }

  /// A checkpoint of one layer `m` with scales 0.5 and these words.
  private func writeLayer(
    _ scratch: ScratchDirectory, _ bits: Int, _ packed: [Int32], _ zeros: [Int32], shape: [Int],
    groups: Int, perRow: Bool = false
  ) throws {
    let writer = try SafetensorsWriter(
      path: scratch.path + "/model.safetensors",
      tensors: [
        .init(name: "m.weight_packed", type: .int32, shape: [shape[0], packed.count / shape[0]]),
        .init(name: "m.weight_scale", type: .float32, shape: [shape[0], groups]),
        .init(name: "m.weight_shape", type: .int64, shape: [2]),
        .init(name: "m.weight_zero_point", type: .int32, shape: [zeros.count / groups, groups]),
      ])
    try packed.withUnsafeBytes { try writer.write("m.weight_packed", $0) }
    try writer.write("m.weight_scale", Tensor(repeating: 0.5, shape: [shape[0], groups]))
    try shape.withUnsafeBytes { try writer.write("m.weight_shape", $0) }
    try zeros.withUnsafeBytes { try writer.write("m.weight_zero_point", $0) }
    try writer.finish()
    let group = perRow ? "-1" : "32"
    let arguments = """
      {"num_bits": \(bits), "symmetric": false, "group_size": \(group)}
      """
    _ = try scratch.file(
      "config.json",
      """
      {"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized",
       "config_groups": {"group_0": {"targets": ["re:.*m"], "weights": \(arguments)}}}}
      """)
  }

  @Test func refusesWhatTheFormatCannotHold() throws {
    let scratch = try ScratchDirectory()
    let template = try Self.template(scratch)
    let module = "model.layers.0.a"
    let scheme = try Self.scheme(4, .channel, symmetric: true)
    let good = try Self.quantized(template, module, scheme)
    func write(_ weight: QuantizedTensor, scaleType: ElementType = .float32) throws {
      var options = CompressedTensorsWriter.Options()
      options.scaleType = scaleType
      let writer = try CompressedTensorsWriter(
        output: scratch.path + "/out", template: template,
        modules: [.init(name: module, weights: scheme)], options: options)
      try writer.write(module, weight)
    }
    func changed(
      levels: [Tensor]? = nil, zeroPoints: Tensor? = nil, outliers: OutlierSet? = nil
    ) throws -> QuantizedTensor {
      try QuantizedTensor(
        shape: good.shape, format: good.format, codes: good.codes, levels: levels ?? good.levels,
        zeroPoints: zeroPoints, outliers: outliers)
    }
    try write(good)
    let ones = Tensor(repeating: 1, shape: [10, 1])
    for weight in [
      try changed(outliers: OutlierSet(positions: [0], values: [1])),
      try changed(levels: good.levels + [ones]),
      try changed(levels: [Tensor(repeating: 1, shape: [10, 3])]),
      try changed(levels: [Tensor(repeating: .nan, shape: [10, 1])]),
      try changed(zeroPoints: ones),
      try Self.quantized(template, module, Self.scheme(3, .channel, symmetric: true)),
    ] {
      let found = error { try write(weight) }
      #expect(found?.code == .malformed)
      #expect(found?.message.contains(module) == true)
    }
    #expect(error { try write(good, scaleType: .bfloat16) }?.message.contains("BF16") == true)
    #expect(try scratch.entries() == ["template"])
  }

  /// Two schemes over a llama2.c model: groups name their layers, and formats differ.
  @Test func severalSchemesOverAnotherKindOfFile() throws {
    let scratch = try ScratchDirectory()
    let template = try Llama2CCheckpoint(
      path: resource("models/stories260k/llama2c/stories260K.bin"))
    let inputs = InputScheme(
      format: try IntegerFormat(bits: 8), granularity: .token, symmetric: true, dynamic: true)
    let layer = "model.layers.0."
    var options = CompressedTensorsWriter.Options()
    options.packsWithInputs = true
    let modules: [CompressedTensorsWriter.Module] = [
      .init(
        name: layer + "mlp.up_proj", weights: try Self.scheme(4, .channel, symmetric: true),
        inputs: inputs),
      .init(
        name: layer + "self_attn.q_proj", weights: try Self.scheme(8, .tensor, symmetric: true),
        inputs: inputs),
      .init(
        name: layer + "self_attn.k_proj", weights: try Self.scheme(4, .channel, symmetric: true),
        inputs: inputs),
    ]
    let writer = try CompressedTensorsWriter(
      output: scratch.path + "/out", template: template, modules: modules, options: options)
    var expected: [String: QuantizedTensor] = [:]
    for module in modules {
      let weight = try template.tensor(module.name + ".weight")
      let codes = try module.weights.grids(for: weight)
        .quantize(weight, format: module.weights.format)
      expected[module.name] = codes
      try writer.write(module.name, codes)
    }
    try writer.finish()

    let store = try Checkpoint(path: scratch.path + "/out")
    for (name, weight) in expected { try Self.expectEqual(store.linearWeight(name), weight) }
    let written = try #require(try store.quantizationConfig())
    #expect(written.format == "mixed-precision")
    #expect(written.groups.map(\.format) == ["pack-quantized", "int-quantized"])
    #expect(
      written.groups.map(\.targets) == [
        [layer + "mlp.up_proj", layer + "self_attn.k_proj"], [layer + "self_attn.q_proj"],
      ])
    #expect(written.ignore.contains(layer + "self_attn.v_proj"))
    #expect(!written.ignore.contains("model.embed_tokens"))
    #expect(store.config["model_type"]?.string == "llama")
    let kept = layer + "self_attn.v_proj.weight"
    #expect(try store.bytes(of: kept) == template.bytes(of: kept))
  }

  @Test func refusesLayersThatAreNotThere() throws {
    let scratch = try ScratchDirectory()
    let template = try Self.template(scratch)
    let scheme = try Self.scheme(4, .channel, symmetric: true)
    let found = error {
      _ = try CompressedTensorsWriter(
        output: scratch.path + "/out", template: template,
        modules: [.init(name: "lm_head", weights: scheme)])
    }
    #expect(found?.code == .missing)
    #expect(throws: SchemeError.self) {
      _ = try CompressedTensorsWriter(
        output: scratch.path + "/out", template: template,
        modules: [
          .init(name: "model.layers.0.a", weights: Self.scheme(4, .group(7), symmetric: true))
        ])
    }
    #expect(try scratch.entries() == ["template"])
  }

  @Test(arguments: [
    ("re:.*a$", true), ("re:model", true), ("re:layers", false), ("model.layers.0.a", true),
    ("Linear", true), ("Embedding", false), ("re:model\\.layers\\.\\d+\\.(a|b)$", true),
  ])
  func matchesLayersAsTheLibraryDoes(matcher: String, matches: Bool) throws {
    let scratch = try ScratchDirectory()
    let template = try Self.template(scratch)
    var config = template.config
    let group: JSONValue = ["targets": [.string(matcher)], "weights": ["num_bits": 4]]
    config["quantization_config"] = [
      "quant_method": "compressed-tensors", "config_groups": ["group_0": group],
    ]
    _ = try scratch.file("template/config.json", config.serialized())
    let store = try Checkpoint(path: template.path)
    #expect(try (store.storedScheme("model.layers.0.a") != nil) == matches)
    #expect(
      try store.storedScheme("model.layers.0.a")?.weights?.granularity
        == (matches ? .tensor : nil))
    config["quantization_config"]?["ignore"] = ["re:.*layers"]
    _ = try scratch.file("template/config.json", config.serialized())
    #expect(try Checkpoint(path: template.path).storedScheme("model.layers.0.a") == nil)
  }

  /// The template with such a `quantization_config`.
  private static func configured(
    _ scratch: ScratchDirectory, _ members: String
  ) throws -> Checkpoint {
    let path = try template(scratch).path
    _ = try scratch.file(
      "template/config.json",
      """
      {"quantization_config": {"quant_method": "compressed-tensors", \(members)}}
      """)
    return try Checkpoint(path: path)
  }

  /// Of dense weights, too; rounding would end the process.
  @Test(arguments: [
    ("model.layers.0.b", "groups of 32 do not divide 40 inputs; correct group_size"),
    ("model.norm", "need a matrix model.norm.weight, and there is none; correct targets"),
    ("model.layers.7.a", "need a matrix model.layers.7.a.weight, and there is none"),
  ])
  func refusesGroupsOfInputsThatAreNotWhole(module: String, words: String) throws {
    let store = try Self.configured(
      try ScratchDirectory(),
      """
      "config_groups": {"group_0": {"targets": ["re:.*"], "weights": null, "input_activations":
      {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32, "dynamic": true,
      "scale_dtype": "torch.uint8"}}}
      """)
    let found = error { _ = try store.storedInputScheme(module) }
    #expect(found?.code == .malformed)
    #expect(found?.message.contains("\(module): input_activations: ") == true)
    #expect(found?.message.contains(words) == true, "\(String(describing: found))")
  }

  @Test(arguments: [("int", 8, "int8"), ("int", 4, "int4"), ("float", 8, "e4m3fn")])
  func readsCachesThatTheLibraryHas(type: String, bits: Int, name: String) throws {
    let store = try Self.configured(
      try ScratchDirectory(),
      """
      "kv_cache_scheme": {"type": "\(type)", "num_bits": \(bits)}
      """)
    #expect(try store.cacheScheme()?.format.name == name)
  }

  /// They would be written again as another type.
  @Test(arguments: [
    ("e5m2", 8), ("e4m3fn", 8), ("nf4", 4), ("int8", 8), ("float", 4), ("float", 6),
  ])
  func refusesCachesThatTheLibraryDoesNotHave(type: String, bits: Int) throws {
    let store = try Self.configured(
      try ScratchDirectory(),
      """
      "kv_cache_scheme": {"type": "\(type)", "num_bits": \(bits)}
      """)
    let found = error { _ = try store.cacheScheme() }
    #expect(found?.code == .malformed)
    let words = "kv_cache_scheme: keys and values of \(bits)-bit \(type) are not read"
    #expect(found?.message.contains(words) == true, "\(String(describing: found))")
  }

  @Test(arguments: ["re:(a*)*b", "re:(a|a)+b", "re:(", "re:.*.*.*.*.*.*x", "re:(\\w+\\w+){9}!"])
  func refusesExpressionsThatCouldTakeForever(matcher: String) throws {
    let scratch = try ScratchDirectory()
    let template = try Self.template(scratch)
    let config: JSONValue = [
      "quantization_config": [
        "quant_method": "compressed-tensors", "ignore": [.string(matcher)],
      ]
    ]
    _ = try scratch.file("template/config.json", config.serialized())
    let store = try Checkpoint(path: template.path)
    #expect(error { _ = try store.storedScheme("a") }?.code == .malformed)
  }
}
