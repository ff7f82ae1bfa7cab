public import HalftoneSchemes
public import HalftoneTensor

/// A GGUF file mapped into memory; nothing but its header is read until tensors are used.
public final class GGUFFile: Sendable {
  public let path: String
  /// The metadata's keys in the order of the file.
  public let keys: [String]
  /// The tensors in the order of their bytes; their types as blocks where they are.
  public let tensors: [TensorDescription]
  private let metadata: [String: GGUFValue]
  private let file: MappedFile
  private let entries: [String: GGUFHeader.Tensor]

  /// Maps the file at `path` and checks its header completely.
  ///
  /// - Throws: `CheckpointError`, `.missing` without a file, `.malformed` for a bad header.
  public init(path: String) throws(CheckpointError) {
    file = try mapped(path)
    self.path = path
    let header = try GGUFHeader(file)
    keys = header.keys
    metadata = header.metadata
    tensors = header.tensors.map(Self.description)
    entries = Dictionary(uniqueKeysWithValues: header.tensors.map { ($0.name, $0) })
  }

  private static func description(_ tensor: GGUFHeader.Tensor) -> TensorDescription {
    switch tensor.type {
    case .plain(let type): TensorDescription(name: tensor.name, type: type, shape: tensor.shape)
    case .blocks(let type): TensorDescription(name: tensor.name, blocks: type, shape: tensor.shape)
    }
  }

  /// The metadata's value of `key`.
  public subscript(key: String) -> GGUFValue? { metadata[key] }

  public func contains(_ name: String) -> Bool { entries[name] != nil }

  /// How the tensor `name` is stored.
  ///
  /// - Throws: `CheckpointError.Code.missing` if there is no such tensor.
  public func description(of name: String) throws(CheckpointError) -> TensorDescription {
    Self.description(try entry(name))
  }

  /// The tensor `name`, sharing the file's memory; blocks are decoded to floats.
  ///
  /// - Throws: `CheckpointError`: no such tensor, or elements nothing computes with.
  public func tensor(_ name: String) throws(CheckpointError) -> Tensor {
    let entry = try entry(name)
    switch entry.type {
    case .plain(let stored):
      guard let type = stored.elementType else {
        throw CheckpointError(
          .malformed,
          "\(path): tensor \(name) is stored as \(stored.rawValue), "
            + "which Halftone does not compute with; convert it to F32, F16 or BF16")
      }
      return Tensor(
        mapping: file, offset: entry.range.lowerBound, elementType: type, shape: entry.shape)
    case .blocks:
      let columns = entry.shape.last ?? 1
      let rows = entry.shape.reduce(1, *) / columns
      let matrix = try blocks(name, shape: [rows, columns]).dequantized()
      return Tensor(shape: entry.shape) { out in
        matrix.withElements { _ = out.update(from: $0) }
      }
    }
  }

  /// The matrix `name` as its blocks, sharing the file's memory.
  ///
  /// - Throws: `CheckpointError`: no such tensor, or one that is not stored in blocks.
  public func blocks(
    _ name: String, rowOrder: RowOrder = .stored
  ) throws(CheckpointError) -> BlockMatrix {
    try blocks(name, shape: try entry(name).shape, rowOrder: rowOrder)
  }

  private func blocks(
    _ name: String, shape: [Int], rowOrder: RowOrder = .stored
  ) throws(CheckpointError) -> BlockMatrix {
    let entry = try entry(name)
    guard case .blocks(let type) = entry.type else {
      throw CheckpointError(.malformed, "\(path): tensor \(name) is not stored in blocks")
    }
    let bytes = Tensor(
      mapping: file, offset: entry.range.lowerBound, elementType: .uint8,
      shape: [entry.range.count])
    do {
      return try BlockMatrix(shape: shape, type: type, bytes: bytes, rowOrder: rowOrder)
    } catch {
      throw CheckpointError(.malformed, "\(path): tensor \(name): \(error)")
    }
  }

  /// The bytes of the tensor `name` as they lie in the file, at any alignment.
  public func withBytes<R>(
    of name: String, _ body: (UnsafeRawBufferPointer) throws -> R
  ) throws -> R {
    let range = try entry(name).range
    return try withExtendedLifetime(file) {
      try body(UnsafeRawBufferPointer(rebasing: file.bytes[range]))
    }
  }

  /// Gives back the memory that reading the tensor `name` took; it stays valid.
  public func evict(_ name: String) {
    if let entry = entries[name] { file.evict(entry.range) }
  }

  private func entry(_ name: String) throws(CheckpointError) -> GGUFHeader.Tensor {
    guard let entry = entries[name] else {
      throw CheckpointError(.missing, "\(path): no tensor \(name)")
    }
    return entry
  }
}
