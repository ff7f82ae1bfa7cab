public import HalftoneSchemes

/// A checkpoint whose layers may hold codes that other files can take over.
public protocol CodedStore: WeightStore {
  /// The modules whose weights are stored in codes, sorted.
  func quantizedModules() throws -> [String]

  /// How the linear layer `module` is quantized; nil where it is not, or in codes that are no format's.
  func storedScheme(_ module: String) throws -> LayerScheme?

  /// The shape [out, in] of the quantized weight of `module`; nil where it is dense or absent.
  func quantizedShape(_ module: String) throws -> [Int]?

  /// The codes of the layer `module`; nil where it is dense.
  ///
  /// - Throws: ``SchemeError`` for codes that are no format's; what reading throws.
  func storedCodes(_ module: String) throws -> StoredCodes?

  /// How keys and values are rounded before they are kept; nil where not at all.
  func cacheScheme() throws -> InputScheme?

  /// Whether its layers hold what only Halftone reads.
  var isOwnFormat: Bool { get }

  /// The suffixes of tensors that stand for the weight of one quantized layer.
  func weightSuffixes() throws -> [String]
}

/// The codes of a layer and where their columns are in the file.
public struct StoredCodes: Sendable {
  /// With the columns of a group side by side.
  public let weight: QuantizedTensor
  /// nil where the columns stand as they are.
  public let order: ColumnGroups?
}

extension Checkpoint: CodedStore {
  public func storedCodes(_ module: String) throws -> StoredCodes? {
    if let reordered = try reorderedWeight(module) {
      return StoredCodes(weight: reordered.weight, order: reordered.order)
    }
    guard case .quantized(let weight) = try linearWeight(module) else { return nil }
    return StoredCodes(weight: weight, order: nil)
  }

  public func weightSuffixes() throws -> [String] { try quantizedSuffixes() }
}

/// Matrices of blocks; those whose codes stand for a table's numbers have no scheme.
extension GGUFCheckpoint: CodedStore {
  private static let suffix = ".weight"

  public func quantizedModules() throws -> [String] {
    try names.filter { $0.hasSuffix(Self.suffix) }
      .map { String($0.dropLast(Self.suffix.count)) }
      .filter { try quantizedShape($0) != nil }
  }

  public func quantizedShape(_ module: String) throws -> [Int]? {
    let name = module + Self.suffix
    guard contains(name) else { return nil }
    let stored = try description(of: name)
    guard stored.blocks != nil else { return nil }
    guard stored.shape.count == 2 else {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) \(stored.shape) is no matrix; convert the original model again")
    }
    return stored.shape
  }

  public func storedScheme(_ module: String) throws -> LayerScheme? {
    guard try quantizedShape(module) != nil,
      let scheme = try description(of: module + Self.suffix).blocks?.scheme
    else { return nil }
    return LayerScheme(weights: scheme)
  }

  public func storedCodes(_ module: String) throws -> StoredCodes? {
    guard case .blocks(let matrix) = try linearWeight(module) else { return nil }
    return StoredCodes(weight: try matrix.quantized(), order: nil)
  }

  public func cacheScheme() throws -> InputScheme? { nil }

  public var isOwnFormat: Bool { false }

  public func weightSuffixes() throws -> [String] { ["weight"] }
}
