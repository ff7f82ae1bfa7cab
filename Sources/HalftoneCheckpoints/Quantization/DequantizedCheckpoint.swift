import HalftoneSchemes
public import HalftoneTensor

/// A quantized directory as a dense one: for each quantized layer its `weight`, dequantized when read.
public final class DequantizedCheckpoint: WeightStore {
  public let names: [String]
  public let config: JSONValue
  private let source: any CodedStore
  /// The modules whose weights are dequantized, with their shapes.
  private let shapes: [String: [Int]]
  private let type: ElementType
  private let casts: Bool

  /// Presents `source`, dequantized weights being of `type`; where it `casts`, other floats too.
  ///
  /// Scales of keys and values are left out, as the configuration that speaks of them is, unless
  /// `keepsCache`.
  ///
  /// - Throws: ``CheckpointError`` for layers whose codes or configuration do not fit each other.
  public init(
    _ source: any CodedStore, as type: ElementType, casts: Bool = false, keepsCache: Bool = false
  )
    throws
  {
    self.source = source
    self.type = type
    self.casts = casts
    var shapes: [String: [Int]] = [:]
    for module in try source.quantizedModules() {
      shapes[module + ".weight"] = try source.quantizedShape(module)
    }
    self.shapes = shapes
    let suffixes = Set(try source.weightSuffixes())
    let leavesCacheOut = try source.cacheScheme() != nil && !keepsCache
    let kept = source.names.filter { name in
      guard let dot = name.lastIndex(of: ".") else { return true }
      let suffix = String(name[name.index(after: dot)...])
      if leavesCacheOut, Checkpoint.cacheSuffixes.contains(suffix) { return false }
      let isPart = suffixes.contains(suffix)
      return !isPart || shapes[name[..<dot] + ".weight"] == nil
    }
    names = (kept + shapes.keys).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    var config = source.config
    config["quantization_config"] = nil
    config["quantization"] = nil
    if casts {
      let word: JSONValue = [.float32: "float32", .float16: "float16"][type] ?? "bfloat16"
      for key in ["dtype", "torch_dtype"] where config[key] != nil { config[key] = word }
    }
    self.config = config
  }

  public var path: String { source.path }

  /// Without what the tool that quantized it wrote about that.
  public var sideFiles: [String] {
    let others = StoredQuantization.otherFiles.map { "/" + $0.0 }
    return source.sideFiles.filter { file in !others.contains { file.hasSuffix($0) } }
  }

  public func contains(_ name: String) -> Bool {
    shapes[name] != nil || source.contains(name)
  }

  public func description(of name: String) throws(CheckpointError) -> TensorDescription {
    if let shape = shapes[name] {
      return TensorDescription(name: name, type: StoredType(type), shape: shape)
    }
    let stored = try source.description(of: name)
    guard casts, Self.isFloat(stored.type) else { return stored }
    return TensorDescription(name: name, type: StoredType(type), shape: stored.shape)
  }

  private static func isFloat(_ type: StoredType) -> Bool {
    [.float32, .float16, .bfloat16].contains(type)
  }

  public func tensor(_ name: String) throws(CheckpointError) -> Tensor {
    guard shapes[name] != nil else {
      let stored = try source.tensor(name)
      guard casts, Self.isFloat(StoredType(stored.elementType)) else { return stored }
      return try narrowed(stored, name)
    }
    do {
      return try narrowed(effectiveWeight(String(name.dropLast(".weight".count))), name)
    } catch let error as CheckpointError {
      throw error
    } catch {
      throw CheckpointError(.malformed, "\(path): \(name): \(error)")
    }
  }

  /// What the layer `module` multiplies by, low-rank factors included.
  private func effectiveWeight(_ module: String) throws -> Tensor {
    let weight: Tensor
    switch try source.linearWeight(module) {
    case .dense(let tensor): weight = tensor.float()
    case .quantized(let tensor): weight = tensor.dequantized()
    case .blocks(let matrix): weight = matrix.dequantized()
    }
    return try source.lowRank(module).map { weight + $0.product() } ?? weight
  }

  private func narrowed(_ tensor: Tensor, _ name: String) throws(CheckpointError) -> Tensor {
    let result = tensor.converted(to: type)
    // Half precision ends at 65504.
    let overflows =
      type == .float16 && tensor.float().withElements { $0.contains { abs($0) >= 65520 } }
    guard !overflows else {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) has numbers that half precision does not reach; use bf16 or f32")
    }
    return result
  }

  public func withBytes<R>(
    of name: String, _ body: (UnsafeRawBufferPointer) throws -> R
  ) throws -> R {
    let isStored = shapes[name] == nil
    let stored = try isStored ? source.storedType(of: name) : .float32
    if isStored, !casts || !Self.isFloat(stored) { return try source.withBytes(of: name, body) }
    return try tensor(name).withBytes(body)
  }

  public func evict(_ name: String) {
    guard shapes[name] != nil else { return source.evict(name) }
    let module = String(name.dropLast(".weight".count))
    for suffix in (try? source.weightSuffixes()) ?? []
    where source.contains("\(module).\(suffix)") {
      source.evict("\(module).\(suffix)")
    }
  }
}
