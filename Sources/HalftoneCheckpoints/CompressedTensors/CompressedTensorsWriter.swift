import Foundation
public import HalftoneSchemes
public import HalftoneTensor

/// Writes a checkpoint whose linear layers are quantized, for tools that read compressed-tensors.
///
/// The layout follows from the schemes, so layers are written to their places as they come and
/// none is held. Every other tensor is carried over byte by byte unless replaced. The directory
/// appears complete when published, or not at all.
public final class CompressedTensorsWriter {
  /// A linear layer and how it is quantized; `scheme.weights` is not nil.
  public struct Module: Sendable {

    public let name: String
    public let weights: WeightScheme
    public let inputs: InputScheme?

    public init(name: String, weights: WeightScheme, inputs: InputScheme? = nil) {
      self.name = name
      self.weights = weights
      self.inputs = inputs
    }

    /// Whether other tools that read compressed-tensors have a place for such a layer.
    public var isShared: Bool { ModuleLayout.isShared(weights, inputs) }

    /// The bytes of the tensors that stand for the layer where its weight is [rows, columns].
    ///
    /// - Throws: `SchemeError` for a scheme that does not fit that shape.
    public func byteCount(rows: Int, columns: Int) throws(SchemeError) -> Int {
      var options = Options()
      if !isShared { options.method = .halftone }
      return try layout([rows, columns], options).tensors.reduce(0) { $0 + $1.byteCount }
    }

    fileprivate func layout(
      _ shape: [Int], _ options: Options
    ) throws(SchemeError) -> ModuleLayout {
      let isPacked =
        options.method == .halftone
        || weights.integers != nil
          && (inputs == nil || options.packsWithInputs && weights.format.bits < 8)
      return try ModuleLayout(
        module: name, weights: weights, inputs: inputs, shape: shape, isPacked: isPacked,
        scaleType: options.scaleType, codesName: options.method.codesName)
    }
  }

  public struct Options: Sendable {
    /// The type of scales in the file; other than `.float32`, scales must be such numbers already.
    public var scaleType: ElementType = .float32
    /// The bytes after which a new file begins.
    public var shardByteLimit = 5_000_000_000
    /// Whether weights of fewer than 8 bits are packed although the inputs are quantized too.
    ///
    /// The library itself stores a byte a weight then (`int-quantized`), but reads both.
    public var packsWithInputs = false
    /// Who is to read it; see ``CompressedTensorsConfig/Method/codesName``.
    public var method = CompressedTensorsConfig.Method.compressedTensors
    /// How keys and values are quantized; the scales are among the tensors of the template or the
    /// additions, `k_scale` and `v_scale` of each attention layer.
    public var cache: InputScheme?
    /// Keys of `config.json` that change.
    public var configuration: [String: JSONValue] = [:]
    /// Whether a model's directory at the output is replaced.
    public var overwrites = false

    public init() {}
  }

  private let template: any WeightStore
  private let directory: OutputDirectory
  private let output: ShardedOutput
  private let layouts: [String: ModuleLayout]
  private let carried: [String]
  private var unwritten: Set<String>
  private var replaced: Set<String> = []
  private var added: Set<String>
  private let options: Options
  private let configuration: JSONValue

  /// Creates the files of the directory to be at `path`.
  ///
  /// The layers of `modules`, in any order, come from `template`, which gives everything else but
  /// the tensors of `additions`, which take the place of those of their names.
  ///
  /// - Throws: `CheckpointError.Code.cannotCreate` naming `path` and the remedy; `.missing` for a
  ///   layer the template does not have; `SchemeError` for a scheme that does not fit a layer.
  public init(
    output path: String, template: any WeightStore, modules: [Module],
    additions: [TensorDescription] = [], options: Options = Options()
  ) throws {
    self.template = template
    guard template.config["quantization_config"].map(\.isNull) ?? true else {
      throw CheckpointError(
        .malformed, "\(template.path): is quantized already; begin with the original model")
    }
    let layouts = try modules.map { module in
      guard options.method == .halftone || module.isShared else {
        throw SchemeError(
          "\(module.name): compressed-tensors has no place for \(module.weights.grid) weights with "
            + "\(module.inputs.map { "\($0)" } ?? "unquantized") inputs")
      }
      return try module.layout(template.shape(of: module.name + ".weight"), options)
    }
    self.layouts = Dictionary(layouts.map { ($0.module, $0) }) { first, _ in first }
    guard self.layouts.count == layouts.count else {
      throw CheckpointError(.malformed, "\(path): a layer is listed twice")
    }
    unwritten = Set(self.layouts.keys)
    let weights = Set(layouts.map { $0.module + ".weight" })
    let added = Set(additions.map(\.name))
    self.added = added
    self.options = options
    carried = template.names.filter { !weights.contains($0) && !added.contains($0) }
    let tensors =
      try layouts.flatMap(\.tensors) + additions + carried.map { try template.description(of: $0) }
    let perHead = tensors.contains { $0.name.hasSuffix(".k_scale") && $0.shape.count == 3 }
    configuration = quantizationConfig(
      layouts, tensors: tensors, for: options.method,
      cache: options.cache.map { .cacheArguments($0, perHead: perHead) } ?? .null)
    directory = try OutputDirectory(
      path: path, overwrites: options.overwrites, keeping: template.path)
    output = try ShardedOutput(
      directory: directory.staging, naming: directory.path, tensors: tensors,
      limit: options.shardByteLimit)
  }

  /// Writes the layer `module`, with the grid of its `inputs` where the scheme fixes it; of groups with scales
  /// of E4M3 the scale is the one beside them.
  public func write(
    _ module: String, _ weight: QuantizedTensor, inputs: (scale: Float, zeroPoint: Float)? = nil
  ) throws {
    guard let layout = layouts[module] else {
      preconditionFailure("\(module) was not announced to the writer")
    }
    guard weight.outliers?.positions.isEmpty ?? true || options.method == .halftone else {
      throw CheckpointError(
        .malformed,
        "\(module) cannot be written as compressed-tensors: the format has no place for outliers kept "
          + "at full precision")
    }
    try layout.encode(weight, inputs: inputs) { try output.write($0, $1) }
    unwritten.remove(module)
    template.evict(module + ".weight")
  }

  /// Writes the tensor `name` of the additions, of the type and shape that were announced.
  public func add(_ name: String, _ tensor: Tensor) throws {
    guard let description = output.tensors[name], added.contains(name),
      description.shape == tensor.shape, description.type == StoredType(tensor.elementType)
    else { preconditionFailure("\(name) was not announced to the writer in this form") }
    try tensor.withBytes { try output.write(name, $0) }
  }

  /// Writes `tensor` in place of the template's tensor `name`, in the type it had there.
  public func replace(_ name: String, _ tensor: Tensor) throws {
    guard let description = output.tensors[name], carried.contains(name),
      description.shape == tensor.shape, let type = description.type.elementType
    else {
      throw CheckpointError(
        .malformed, "\(directory.path): \(name) \(tensor.shape) replaces no tensor of the model")
    }
    try tensor.converted(to: type).withBytes { try output.write(name, $0) }
    replaced.insert(name)
  }

  /// Adds a file, say a report, to the directory.
  public func addFile(_ name: String, _ bytes: [UInt8]) throws {
    precondition(!name.contains("/") && !name.hasPrefix("."), "\(name) is no plain file name")
    try directory.write(name, bytes)
  }

  /// Writes all that is left; every layer has been written.
  ///
  /// - Returns: the path of the complete directory, which is not published yet and can be loaded.
  public func complete() throws -> String {
    precondition(unwritten.isEmpty, "layers never written: \(unwritten.sorted().prefix(3))")
    for name in carried where !replaced.contains(name) {
      try carry(name)
    }
    try output.finish()
    for file in template.sideFiles { try directory.copy(file) }
    var config = template.config
    for (key, value) in options.configuration.sorted(by: { $0.key < $1.key }) {
      config[key] = value
    }
    config["quantization_config"] = configuration
    try directory.write("config.json", Array((config.serialized() + "\n").utf8))
    return directory.staging
  }

  /// Copies a tensor of the template piece by piece, so that no table of words is whole in memory.
  private func carry(_ name: String) throws {
    let piece = 1 << 26
    try template.withBytes(of: name) { bytes in
      for start in stride(from: 0, through: max(0, bytes.count - 1), by: piece) {
        let end = min(bytes.count, start + piece)
        try output.write(name, UnsafeRawBufferPointer(rebasing: bytes[start..<end]), at: start)
        template.evict(name)
      }
    }
  }

  /// Gives the complete directory its name.
  public func publish() throws { try directory.publish() }

  /// Completes and publishes.
  public func finish() throws {
    _ = try complete()
    try publish()
  }

  /// Removes everything that was written; also done when the writer goes without being published.
  public func discard() { directory.discard() }
}
