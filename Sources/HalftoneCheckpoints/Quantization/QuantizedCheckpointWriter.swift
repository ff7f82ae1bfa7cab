import Foundation
public import HalftoneSchemes

/// Writes a directory whose quantized layers are stored as GPTQ, AWQ or MLX files have them.
///
/// Layers are written to their places as they come; every other tensor of the template is carried over.
/// The directory appears complete when finished, or not at all.
public final class QuantizedCheckpointWriter {
  /// The layers of a file, all for one tool.
  public enum Layers: Sendable {
    /// None: every tensor is the template's.
    case none
    case gptq([GPTQLayout])
    case awq([AWQLayout])
    case mlx([MLXLayout])

    var layouts: [any LayerLayout] {
      switch self {
      case .none: []
      case .gptq(let layouts): layouts
      case .awq(let layouts): layouts
      case .mlx(let layouts): layouts
      }
    }
  }

  private let template: any WeightStore
  private let directory: OutputDirectory
  private let output: ShardedOutput
  private let layouts: [String: any LayerLayout]
  private let carried: [String]
  private var unwritten: Set<String>
  /// Keys that `config.json` gets.
  private let configuration: [(key: String, value: JSONValue)]
  /// Small files beside it.
  private let files: [(name: String, value: JSONValue)]

  /// Prepares the directory at `path` for `layers` in the place of the weights that `template` has of
  /// them; `configuration` says how they are quantized.
  ///
  /// - Throws: ``CheckpointError`` if `path` is taken or cannot be written.
  public init(
    output path: String, template: any WeightStore, layers: Layers, configuration: JSONValue,
    shardByteLimit: Int = 5_000_000_000, overwriting: Bool = false
  ) throws {
    self.template = template
    let layouts = layers.layouts
    self.layouts = Dictionary(layouts.map { ($0.module, $0) }) { first, _ in first }
    unwritten = Set(self.layouts.keys)
    let replaced = Set(layouts.map { $0.module + ".weight" })
    carried = template.names.filter { !replaced.contains($0) }
    switch layers {
    case .none: (self.configuration, files) = ([], [])
    case .gptq:
      self.configuration = [("quantization_config", configuration)]
      files = [("quantize_config.json", configuration)]
    case .awq: (self.configuration, files) = ([("quantization_config", configuration)], [])
    case .mlx:
      self.configuration = [
        ("quantization", configuration), ("quantization_config", configuration),
      ]
      files = []
    }
    let tensors = try layouts.flatMap(\.tensors) + carried.map { try template.description(of: $0) }
    directory = try OutputDirectory(path: path, overwrites: overwriting, keeping: template.path)
    output = try ShardedOutput(
      directory: directory.staging, naming: directory.path, tensors: tensors, limit: shardByteLimit)
  }

  /// The bytes of all tensors.
  public var byteCount: Int { output.tensors.values.reduce(0) { $0 + $1.byteCount } }
  public var tensorCount: Int { output.tensors.count }

  /// Writes the layer `module`.
  public func write(_ module: String, _ weight: QuantizedTensor) throws {
    guard let layout = layouts[module] else {
      preconditionFailure("\(module) was not announced to the writer")
    }
    try layout.encode(weight) { try output.write($0, $1) }
    unwritten.remove(module)
    template.evict(module + ".weight")
  }

  /// Writes all that is left and gives the directory its name; every layer has been written.
  public func finish() throws {
    precondition(unwritten.isEmpty, "layers never written: \(unwritten.sorted().prefix(3))")
    for name in carried {
      try template.withBytes(of: name) { try output.write(name, $0) }
      template.evict(name)
    }
    try output.finish()
    for file in template.sideFiles { try directory.copy(file) }
    var config = template.config
    for (key, value) in configuration { config[key] = value }
    try directory.write("config.json", Array((config.serialized() + "\n").utf8))
    for (name, value) in files {
      try directory.write(name, Array((value.serialized() + "\n").utf8))
    }
    try directory.publish()
  }
}
