import Foundation
import HalftoneCheckpoints
import HalftoneSchemes
import HalftoneTensor
import Testing

/// GPTQ, AWQ and MLX files that contradict themselves: each is an error that says where.
@Suite struct ExternalFilesBadInputTests {
  private static let module = "model.layers.0.self_attn.k_proj"
  private let scratch: ScratchDirectory

  init() throws { scratch = try ScratchDirectory() }

  /// The golden directory `name` with changed tensors, nil for one that is left out, and settings.
  private func changed(
    _ name: String, tensors: [String: Tensor?] = [:], key: String = "quantization_config",
    settings: [String: JSONValue?] = [:]
  ) throws -> Checkpoint {
    let source = try Checkpoint(path: golden(name))
    let kept = source.names.filter { tensors[$0] == nil }
    let new = tensors.compactMap { name, tensor in tensor.map { (name, $0) } }
    let writer = try SafetensorsWriter(
      path: scratch.path + "/model.safetensors",
      tensors: try kept.map { try source.description(of: $0) }
        + new.map {
          // Words of MLX are unsigned.
          let type: StoredType =
            $1.elementType == .int32 && name.hasPrefix("mlx") ? .uint32 : StoredType($1.elementType)
          return TensorDescription(name: $0, type: type, shape: $1.shape)
        })
    for name in kept { try source.withBytes(of: name) { try writer.write(name, $0) } }
    for (name, tensor) in new { try tensor.withBytes { try writer.write(name, $0) } }
    try writer.finish()
    var config = source.config
    for (setting, value) in settings { config[key]?[setting] = value }
    if key == "quantization" { config["quantization_config"] = nil }
    _ = try scratch.file("config.json", config.serialized())
    return try Checkpoint(path: scratch.path)
  }

  private func expect(
    _ words: String, _ store: Checkpoint, _ location: SourceLocation = #_sourceLocation
  ) {
    let found = error { _ = try store.linearWeight(Self.module) }
    #expect(found?.code == .malformed, sourceLocation: location)
    #expect(
      found?.message.contains(words) == true, "\(found?.message ?? "no error")",
      sourceLocation: location)
  }

  private func words(_ shape: [Int], _ word: Int32 = 0) -> Tensor {
    Tensor(shape: shape, elementType: .int32) { out in
      for at in stride(from: 0, to: out.count, by: 4) {
        out.storeBytes(of: word, toByteOffset: at, as: Int32.self)
      }
    }
  }

  /// Halves of `value`, of which the one at `position` is another.
  private func halves(_ shape: [Int], _ value: Float = 0.1, but other: Float, at position: Int)
    -> Tensor
  {
    var values = [Float](repeating: value, count: shape.reduce(1, *))
    values[position] = other
    return Tensor(values, shape: shape).converted(to: .float16)
  }

  // MARK: - GPTQ

  private static let gptq = "gptq/v1-w4-group32-symmetric"

  @Test func `the width of codes contradicts the words`() throws {
    // k_proj [32, 64]: 8 rows of words hold 64 codes of 4 bits, or 32 of 8.
    expect("\(Self.module).scales", try changed(Self.gptq, settings: ["bits": 8]))
    expect("whole words of 3-bit codes", try changed(Self.gptq, settings: ["bits": 3]))
    expect("bits", try changed(Self.gptq, settings: ["bits": 5]))
    expect("bits", try changed(Self.gptq, settings: ["bits": nil]))
    expect(
      "not a matrix of I32 words",
      try changed(Self.gptq, tensors: ["\(Self.module).qweight": Tensor([1, 2])]))
  }

  @Test func `groups do not divide the rows`() throws {
    expect(
      "groups of 48 do not divide rows of 64", try changed(Self.gptq, settings: ["group_size": 48]))
    expect("group_size", try changed(Self.gptq, settings: ["group_size": 0]))
    expect("scales", try changed(Self.gptq, settings: ["group_size": 16]))
    expect("scales", try changed(Self.gptq, settings: ["group_size": -1]))
  }

  @Test func `symmetric files have the middle as zero point`() throws {
    expect("correct sym", try changed(Self.gptq, settings: ["checkpoint_format": "gptq_v2"]))
    expect(
      "correct sym", try changed("gptq/v1-w4-group32-asymmetric", settings: ["sym": true]))
    expect(
      "correct sym",
      try changed(Self.gptq, tensors: ["\(Self.module).qzeros": words([2, 4], 0x7777_7677)]))
  }

  @Test(arguments: [(Float.nan, "NaN"), (.infinity, "NaN or infinity"), (0, "is 0 at [1, 8]")])
  func `a scale is no scale`(value: Float, said: String) throws {
    let scales = halves([2, 32], but: value, at: 40)
    expect(said, try changed(Self.gptq, tensors: ["\(Self.module).scales": scales]))
    expect(said, try changed("awq/group32", tensors: ["\(Self.module).scales": scales]))
    let mlx = halves([32, 2], but: value, at: 24)
    let place = value == 0 ? "is 0 at [12, 0]" : said
    expect(
      place, try changed("mlx/affine-w4-group32-partly", tensors: ["\(Self.module).scales": mlx]))
  }

  @Test func `tensors of another module, or none`() throws {
    expect(
      "qzeros", try changed(Self.gptq, tensors: ["\(Self.module).qzeros": words([2, 8])]))
    let missing = error {
      _ = try changed(Self.gptq, tensors: ["\(Self.module).qzeros": nil])
        .linearWeight(Self.module)
    }
    #expect(missing?.code == .missing)
    expect("g_idx", try changed(Self.gptq, tensors: ["\(Self.module).g_idx": words([63])]))
    expect(
      "names group 2, but there are 2",
      try changed(Self.gptq, tensors: ["\(Self.module).g_idx": words([64], 2)]))
  }

  @Test(arguments: [
    ("gptq/v1-w4-group32-symmetric", ".g_idx"),
    ("compressed-tensors/w4-group32-activation-order", ".weight_g_idx"),
  ])
  func `groups of columns that are none`(_ name: String, _ suffix: String) throws {
    expect("g_idx", try changed(name, tensors: [Self.module + suffix: words([63])]))
    expect(
      "names group 7, but there are 2; correct group_size",
      try changed(name, tensors: [Self.module + suffix: words([64], 7)]))
    // All of them in one group: numbers, but no codes of groups.
    let store = try changed(name, tensors: [Self.module + suffix: words([64], 1)])
    guard case .dense = try store.linearWeight(Self.module) else {
      Issue.record("has codes")
      return
    }
    #expect(throws: SchemeError.self) { try store.reorderedWeight(Self.module) }
  }

  @Test func `formats that are not read are named`() throws {
    expect("marlin", try changed(Self.gptq, settings: ["checkpoint_format": "marlin"]))
    expect("gemv", try changed("awq/group32", settings: ["version": "gemv"]))
    expect("4 bits", try changed("awq/group32", settings: ["bits": 3]))
    expect("hqq", try changed(Self.gptq, settings: ["quant_method": "hqq"]))
  }

  @Test func `rules that contradict the tensors`() throws {
    expect(
      "dynamic in quantization_config leaves it out",
      try changed(Self.gptq, settings: ["dynamic": [#"-:.*k_proj"#: [:]]]))
    expect(
      "repeat no groups", try changed(Self.gptq, settings: ["dynamic": [#"(a*)*b"#: [:]]]))
  }

  // MARK: - AWQ

  @Test func `the words of AWQ files`() throws {
    expect("\(Self.module).scales", try changed("awq/group32", settings: ["group_size": 64]))
    expect("do not divide", try changed("awq/group32", settings: ["group_size": 48]))
    expect(
      "qzeros", try changed("awq/group32", tensors: ["\(Self.module).qzeros": words([2, 8])]))
    expect(
      "scales",
      try changed("awq/group32", tensors: ["\(Self.module).qweight": words([32, 4])]))
  }

  // MARK: - MLX

  private func mlx(
    _ settings: [String: JSONValue?] = [:], _ tensors: [String: Tensor?] = [:]
  ) throws -> Checkpoint {
    try changed(
      "mlx/affine-w4-group32-partly", tensors: tensors, key: "quantization", settings: settings)
  }

  @Test func `the words of MLX files`() throws {
    expect("scales", try mlx(["bits": 8]))
    expect("bits", try mlx(["bits": 7]))
    expect("group_size", try mlx(["group_size": 48]))
    expect("scales", try mlx(["group_size": 64]))
    expect("mode", try mlx(["mode": "nf4"]))
    expect("U8", try mlx(["mode": "mxfp4"]))
    expect("it is not quantized", try mlx([Self.module: false]))
    expect("quantize_input", try mlx([Self.module: ["quantize_input": true]]))
    expect(
      "biases", try mlx([:], ["\(Self.module).biases": halves([32, 1], but: 0, at: 0)]))
    expect("codes", try mlx([:], ["\(Self.module).weight": words([32, 7])]))
    expect(
      "NaN or infinity",
      try mlx([:], ["\(Self.module).biases": halves([32, 2], but: .nan, at: 3)]))
  }

  @Test func `scales that are no powers of two`() throws {
    let scales = Tensor(repeating: 255, shape: [32, 2]).converted(to: .uint8)
    expect(
      "the byte 255, which is no scale",
      try changed("mlx/mxfp4", tensors: ["\(Self.module).scales": scales]))
  }
}
