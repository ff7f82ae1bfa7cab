import Foundation

/// Writes a GGUF file whose tensors are known by name, type and shape, and come one by one.
///
/// The header goes first, so each tensor is written to its place when it comes, in any order, and
/// none is held. The file has another name until ``finish()``; without it nothing remains.
public final class GGUFWriter {
  /// A tensor before its bytes.
  public struct Tensor: Sendable {
    public let name: String
    public let type: GGUFTensorType
    /// Outermost axis first, as everywhere but in the file.
    public let shape: [Int]

    public init(name: String, type: GGUFTensorType, shape: [Int]) {
      self.name = name
      self.type = type
      self.shape = shape
    }

    /// The bytes of the elements; 0 for a shape that cannot be, which no writer takes.
    public var byteCount: Int { type.byteCount(of: shape) ?? 0 }
  }

  public static let alignment = 32

  public let path: String
  private let file: OutputFile
  private var places: [String: (tensor: Tensor, offset: Int)] = [:]
  private var missing: Set<String>
  private var end = 0

  /// Creates the file and writes its header.
  ///
  /// - Throws: `CheckpointError`: `.malformed` for tensors that GGUF does not have, `.cannotCreate`
  ///   or `.io`, naming the remedy.
  public init(
    path: String, metadata: GGUFMetadata, tensors: [Tensor]
  ) throws(CheckpointError) {
    self.path = path
    missing = Set(tensors.map(\.name))
    guard missing.count == tensors.count else {
      throw CheckpointError(.malformed, "\(path): two tensors of one name")
    }
    var header = Array("GGUF".utf8)
    header.append(integer: UInt32(3))
    header.append(integer: UInt64(tensors.count))
    header.append(integer: UInt64(metadata.count))
    header += metadata.encoded
    var offsets: [Int] = []
    for tensor in tensors {
      offsets.append(end)
      try Self.describe(tensor, at: end, &header, path)
      end += Self.padded(tensor.byteCount)
    }
    header += [UInt8](repeating: 0, count: Self.padded(header.count) - header.count)
    for (tensor, offset) in zip(tensors, offsets) {
      places[tensor.name] = (tensor, header.count + offset)
    }
    end += header.count
    file = try OutputFile(path: path)
    try file.write(header, at: 0)
  }

  private static func padded(_ count: Int) -> Int {
    (count + alignment - 1) / alignment * alignment
  }

  private static func describe(
    _ tensor: Tensor, at offset: Int, _ header: inout [UInt8], _ path: String
  ) throws(CheckpointError) {
    guard tensor.name.utf8.count < GGUFHeader.longestName, (1...4).contains(tensor.shape.count),
      let id = tensor.type.id, tensor.type.byteCount(of: tensor.shape) != nil
    else {
      throw CheckpointError(
        .malformed,
        "\(path): \(tensor.name) \(tensor.type.name) \(tensor.shape) cannot be in a GGUF file")
    }
    header.append(string: tensor.name)
    header.append(integer: UInt32(tensor.shape.count))
    for length in tensor.shape.reversed() { header.append(integer: UInt64(length)) }
    header.append(integer: id)
    header.append(integer: UInt64(offset))
  }

  /// Writes the bytes of tensor `name`, all of them.
  public func write(_ name: String, _ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    guard let place = places[name] else {
      preconditionFailure("\(name) was not announced to the writer of \(path)")
    }
    precondition(bytes.count == place.tensor.byteCount, "\(name) has another length")
    try file.write(bytes, at: place.offset)
    missing.remove(name)
  }

  /// Completes the file, padded at its end; every tensor has been written.
  public func finish() throws(CheckpointError) {
    precondition(missing.isEmpty, "tensors never written: \(missing.sorted().prefix(3))")
    // A last byte of padding makes the file as long as its header says.
    let used = places.values.map { $0.offset + $0.tensor.byteCount }.max() ?? end
    if used < end { try file.write([UInt8](repeating: 0, count: end - used), at: used) }
    try file.finish()
  }
}
