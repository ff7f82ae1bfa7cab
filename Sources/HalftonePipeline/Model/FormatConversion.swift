public import HalftoneCheckpoints
public import HalftoneTensor
import HalftoneSchemes

/// Writes the layers of a quantized directory or a GGUF file as another tool's files have them, codes
/// unchanged.
///
/// What the files cannot hold is an error, and what they round is in ``notices``, both before anything
/// is written.
public struct FormatConversion {
  /// Whose files are written.
  public enum Target: String, CaseIterable, Sendable {
    case compressedTensors = "compressed-tensors"
    /// Version 1, whose zero points are stored less one.
    case gptq
    case gptqV2 = "gptq-v2"
    case awq, mlx
    /// Dequantized.
    case safetensors

    /// Whether a type may be chosen: that of all floats, or of the scales of MLX.
    public var takesType: Bool { self == .safetensors || self == .mlx }

    /// In messages.
    var name: String {
      switch self {
      case .compressedTensors: "compressed-tensors"
      case .gptq: "GPTQ"
      case .gptqV2: "GPTQ version 2"
      case .awq: "AWQ"
      case .mlx: "MLX"
      case .safetensors: "safetensors"
      }
    }
  }

  /// What the files will not hold as it is, a sentence each.
  public let notices: [String]
  private let source: any CodedStore
  private let target: Target
  private let template: DequantizedCheckpoint
  private let layers: ConvertedLayers

  /// Reads every quantized layer of `store` once, to find out what `target` can hold.
  ///
  /// - Throws: ``PipelineError`` naming the first layer that `target` cannot hold; what reading throws.
  public init(_ store: any WeightStore, to target: Target, type: ElementType? = nil) throws {
    guard let source = store as? any CodedStore else {
      throw PipelineError(
        .badInput,
        "no Hugging Face directory and no GGUF file; --format \(target.rawValue) begins with one, and "
          + "--format huggingface makes one of a .bin", at: store.path)
    }
    try source.checkSideFiles()
    let modules = try source.quantizedModules()
    guard target == .safetensors || !modules.isEmpty else {
      throw PipelineError(
        .badInput,
        "is not quantized, so it has no codes to convert; use the quantize command first",
        at: source.path)
    }
    let hasBiases = modules.contains { source.contains($0 + ".bias") }
    guard !source.isOwnFormat || !hasBiases else {
      throw PipelineError(
        .badInput,
        "its layers hold biases that \(target.name) files have no place for; begin with the original "
          + "model", at: source.path)
    }
    let own = try Self.denseType(source, modules)
    let chosen = type ?? own
    var plan = ConversionPlan(source, target, chosen, dense: own)
    layers = try plan.layers(modules)
    template = try DequantizedCheckpoint(
      source, as: target == .safetensors ? chosen : own, casts: target == .safetensors,
      keepsCache: target == .compressedTensors)
    notices = plan.notices
    self.source = source
    self.target = target
  }

  /// The type of the model's first tensor of floats that belongs to no quantized layer.
  private static func denseType(_ source: any CodedStore, _ modules: [String]) throws -> ElementType
  {
    let quantized = Set(modules)
    for name in source.names {
      guard let dot = name.lastIndex(of: "."), !quantized.contains(String(name[..<dot])) else {
        continue
      }
      let type = try source.storedType(of: name).elementType
      if let type, [.float32, .float16, .bfloat16].contains(type) { return type }
    }
    return .float32
  }

  /// Writes the directory at `path`, which appears complete or not at all.
  ///
  /// - Returns: how many tensors it has, and their bytes.
  /// - Throws: ``CheckpointError`` if something is in the way; what reading and writing throws.
  public func write(
    to path: String, overwriting: Bool = false
  ) throws -> (tensors: Int, bytes: Int) {
    if case .compressedTensors(let modules) = layers {
      return try writeCompressedTensors(modules, path, overwriting)
    }
    let (stored, configuration, names) = try layers.stored(dense: try denseLinears(layers.names))
    let writer = try QuantizedCheckpointWriter(
      output: path, template: template, layers: stored, configuration: configuration,
      overwriting: overwriting)
    for module in names { try writer.write(module, codes(module)) }
    try writer.finish()
    return (writer.tensorCount, writer.byteCount)
  }

  private func writeCompressedTensors(
    _ modules: [CompressedTensorsWriter.Module], _ path: String, _ overwriting: Bool
  ) throws -> (tensors: Int, bytes: Int) {
    var options = CompressedTensorsWriter.Options()
    options.overwrites = overwriting
    options.cache = try source.cacheScheme()
    let writer = try CompressedTensorsWriter(
      output: path, template: template, modules: modules, options: options)
    for module in modules {
      var range: (scale: Float, zeroPoint: Float)?
      switch try source.storedInputScheme(module.name) {
      case .fixed(_, let scale, let zero)?: range = (scale, zero)
      case .groups(_, let global)?: range = (global, 0)
      case .dynamic?, nil: break
      }
      try writer.write(module.name, codes(module.name), inputs: range)
    }
    let written = try Checkpoint(path: try writer.complete())
    let result = (written.names.count, try written.byteCount())
    try writer.publish()
    return result
  }

  private func codes(_ module: String) throws -> QuantizedTensor {
    guard let weight = try source.storedCodes(module)?.weight else {
      throw PipelineError(
        .badInput,
        "\(module) has changed while it was read; let no other program write there, and convert again",
        at: source.path)
    }
    return weight
  }

  /// The linear layers besides `quantized`, which a configuration must leave out by name.
  private func denseLinears(_ quantized: [String]) throws -> [String] {
    let quantized = Set(quantized)
    let suffix = ".weight"
    let found = try template.names.filter { name in
      try name.hasSuffix(suffix) && template.shape(of: name).count == 2
    }.map { String($0.dropLast(suffix.count)) }.filter {
      !isEmbedding($0) && !quantized.contains($0)
    }
    return quantized.contains("lm_head") ? found : Set(found + ["lm_head"]).sorted()
  }
}

/// The layers of a conversion in the form of their target.
enum ConvertedLayers {
  case none
  case compressedTensors([CompressedTensorsWriter.Module])
  case gptq([GPTQLayout])
  case awq([AWQLayout], group: Int?)
  case mlx([MLXLayout])

  var names: [String] {
    switch self {
    case .none: []
    case .compressedTensors(let modules): modules.map(\.name)
    case .gptq(let layers): layers.map(\.module)
    case .awq(let layers, _): layers.map(\.module)
    case .mlx(let layers): layers.map(\.module)
    }
  }

  /// For the writer, with what `config.json` says of them and their names.
  func stored(
    dense: @autoclosure () throws -> [String]
  ) rethrows -> (QuantizedCheckpointWriter.Layers, JSONValue, [String]) {
    switch self {
    case .none, .compressedTensors: (.none, .null, [])
    case .gptq(let layers):
      (.gptq(layers), GPTQConfig.configuration(layers, dense: try dense()), names)
    case .awq(let layers, let group):
      (.awq(layers), AWQConfig.configuration(group: group, dense: try dense()), names)
    case .mlx(let layers): (.mlx(layers), MLXConfig.configuration(layers), names)
    }
  }
}
