import Foundation
public import HalftoneTensor

/// Writes a safetensors file whose tensors are known by name, type and shape, and come one by one.
///
/// The header goes first, so each tensor is written to its place when it comes, in any order, and
/// none is held. The file has another name until ``finish()``; without it nothing remains.
public final class SafetensorsWriter {
  public let path: String
  /// The tensors in the order of their bytes: by type, widest first, then by name.
  public let tensors: [TensorDescription]
  private let file: OutputFile
  private var places: [String: (description: TensorDescription, offset: Int)] = [:]
  private var missing: Set<String>

  /// Creates the file and writes its header.
  ///
  /// - Throws: `CheckpointError.Code.cannotCreate` or `.io`, naming `shown` or else `path`, and the
  ///   remedy.
  public init(
    path: String, tensors: [TensorDescription], metadata: [String: String] = ["format": "pt"],
    naming shown: String? = nil
  ) throws(CheckpointError) {
    self.path = path
    self.tensors = tensors.sorted {
      $0.type == $1.type
        ? $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) : $0.type > $1.type
    }
    missing = Set(tensors.map(\.name))
    guard missing.count == tensors.count, !missing.contains("__metadata__") else {
      throw CheckpointError(.malformed, "\(path): two tensors of one name")
    }
    let (header, ends) = try Self.header(self.tensors, metadata, path: path)
    for (tensor, end) in zip(self.tensors, ends) {
      places[tensor.name] = (tensor, header.count + end - tensor.byteCount)
    }
    file = try OutputFile(path: path, naming: shown)
    try file.write(header, at: 0)
  }

  /// Writes the bytes of tensor `name`, or a part of them that begins at byte `start`.
  public func write(
    _ name: String, _ bytes: UnsafeRawBufferPointer, at start: Int = 0
  ) throws(CheckpointError) {
    guard let place = places[name] else {
      preconditionFailure("\(name) was not announced to the writer of \(path)")
    }
    precondition(start >= 0 && bytes.count <= place.description.byteCount - start)
    try file.write(bytes, at: place.offset + start)
    if start + bytes.count == place.description.byteCount { missing.remove(name) }
  }

  /// Writes `tensor`, whose type and shape must be the announced ones.
  public func write(_ name: String, _ tensor: Tensor) throws {
    let announced = places[name]?.description
    precondition(
      announced?.shape == tensor.shape && announced?.type == StoredType(tensor.elementType),
      "\(name) is \(tensor.elementType) \(tensor.shape), not as announced")
    try tensor.withBytes { try write(name, $0) }
  }

  /// Completes the file; every tensor has been written.
  ///
  /// `durably` waits until the file would survive a power failure; a killed process never loses it.
  public func finish(durably: Bool = true) throws(CheckpointError) {
    precondition(missing.isEmpty, "tensors never written: \(missing.sorted().prefix(3))")
    try file.finish(durably: durably)
  }

  /// The length and the padded JSON, and where each tensor ends in the data.
  private static func header(
    _ tensors: [TensorDescription], _ metadata: [String: String], path: String
  ) throws(CheckpointError) -> (bytes: [UInt8], ends: [Int]) {
    var object = JSONObject()
    if !metadata.isEmpty {
      var strings = JSONObject()
      for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { strings[key] = .string(value) }
      object["__metadata__"] = .object(strings)
    }
    var ends: [Int] = []
    var end = 0
    for tensor in tensors {
      guard let byteCount = tensor.type.byteCount(of: tensor.shape) else {
        throw CheckpointError(.malformed, "\(path): \(tensor.name) \(tensor.shape) is too large")
      }
      var entry = JSONObject()
      entry["dtype"] = .string(tensor.type.rawValue)
      entry["shape"] = .array(tensor.shape.map { .number(JSONNumber($0)) })
      entry["data_offsets"] = .array([end, end + byteCount].map { .number(JSONNumber($0)) })
      object[tensor.name] = .object(entry)
      end += byteCount
      ends.append(end)
    }
    var text = Array(JSONValue.object(object).serialized(indent: nil).utf8)
    text += [UInt8](repeating: 0x20, count: (8 - text.count % 8) % 8)
    guard text.count <= SafetensorsHeader.maximumByteCount else {
      throw CheckpointError(.malformed, "\(path): too many tensors for one file")
    }
    let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
    return (length + text, ends)
  }
}
