import Foundation
public import HalftoneTensor

/// A safetensors file mapped into memory; nothing but its header is read until tensors are used.
public final class SafetensorsFile: Sendable {
  public let path: String
  /// The tensors in the order of their bytes.
  public let tensors: [TensorDescription]
  public let metadata: [String: String]
  private let file: MappedFile
  private let entries: [String: SafetensorsHeader.Entry]

  /// Maps the file at `path` and checks its header completely.
  ///
  /// - Throws: `CheckpointError`, `.missing` without a file, `.malformed` for a bad header.
  public init(path: String) throws(CheckpointError) {
    file = try mapped(path)
    self.path = path
    let header = try SafetensorsHeader(file.bytes, path: path)
    tensors = header.entries.map(\.description)
    metadata = header.metadata
    entries = Dictionary(uniqueKeysWithValues: header.entries.map { ($0.description.name, $0) })
  }

  public func contains(_ name: String) -> Bool { entries[name] != nil }

  /// How the tensor `name` is stored.
  ///
  /// - Throws: `CheckpointError.Code.missing` if there is no such tensor.
  public func description(of name: String) throws(CheckpointError) -> TensorDescription {
    try entry(name).description
  }

  /// The tensor `name`, sharing the file's memory.
  ///
  /// - Throws: `CheckpointError`: no such tensor, or elements nothing computes with.
  public func tensor(_ name: String) throws(CheckpointError) -> Tensor {
    let entry = try entry(name)
    guard let type = entry.description.type.elementType else {
      throw CheckpointError(
        .malformed,
        "\(path): tensor \(name) is stored as \(entry.description.type.rawValue), "
          + "which Halftone does not compute with; convert it to F32, F16 or BF16")
    }
    return Tensor(
      mapping: file, offset: entry.range.lowerBound, elementType: type,
      shape: entry.description.shape)
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

  private func entry(_ name: String) throws(CheckpointError) -> SafetensorsHeader.Entry {
    guard let entry = entries[name] else {
      throw CheckpointError(.missing, "\(path): no tensor \(name)")
    }
    return entry
  }
}

/// Maps the file at `path`, with an error that says what to do.
func mapped(_ path: String) throws(CheckpointError) -> MappedFile {
  do {
    return try MappedFile(path: path)
  } catch {
    switch (error as? MappedFileError)?.reason {
    case ENOENT, ENOTDIR: throw CheckpointError(.missing, "\(path): no such file")
    case EISDIR: throw CheckpointError(.malformed, "\(path): not a regular file")
    case EACCES, EPERM:
      throw CheckpointError(.io, "\(path): permission denied; make the file readable")
    default: throw CheckpointError(.io, "\(path): cannot be read: \(error)")
    }
  }
}
