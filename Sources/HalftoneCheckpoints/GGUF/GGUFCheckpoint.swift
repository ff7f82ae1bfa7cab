import Foundation
import HalftoneSchemes
public import HalftoneTensor

/// A GGUF model, in one file or in parts, as a checkpoint with Hugging Face names and row orders.
///
/// Rows of the query and key weights of Llama files lie in interleaved rotary order (pairs 2i,
/// 2i + 1); they are put back into the half-split order of Hugging Face (pairs i, i + d/2) by
/// reading rows in another order, whatever blocks they are made of.
public final class GGUFCheckpoint: WeightStore {
  public let path: String
  public let names: [String]
  public let config: JSONValue
  public let sideFiles: [String] = []
  /// The file that was named, and the further parts.
  public let files: [GGUFFile]
  private let places: [String: Place]
  /// The width of heads whose rows are interleaved.
  private let interleavedHead: Int?

  private struct Place: Sendable {
    let file: GGUFFile
    let name: String
  }

  /// Opens the file at `path`; the first part of a model in parts finds the others beside it.
  ///
  /// - Throws: `CheckpointError`: `.missing` without a file, `.malformed` for what cannot be used.
  public init(path: String) throws(CheckpointError) {
    self.path = path
    files = try GGUFParts.open(path)
    let owners = try Self.owners(files)
    let configuration = try Self.configuration(files, owners)
    config = configuration.config
    interleavedHead = configuration.architecture == "llama" ? configuration.headWidth : nil
    var places: [String: Place] = [:]
    for (name, file) in owners where name != GGUFNames.rotaryDivisors {
      guard let known = GGUFNames.huggingFace(name) else {
        throw CheckpointError(
          .malformed,
          "\(file.path): tensor \(name) is no part of the \(configuration.architecture) networks "
            + "that are supported")
      }
      places[known] = Place(file: file, name: name)
    }
    self.places = places
    names = places.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  private static func owners(_ files: [GGUFFile]) throws(CheckpointError) -> [String: GGUFFile] {
    var owners: [String: GGUFFile] = [:]
    for file in files {
      for tensor in file.tensors {
        if let other = owners.updateValue(file, forKey: tensor.name) {
          throw CheckpointError(
            .malformed, "\(file.path): tensor \(tensor.name) is also in \(other.path)")
        }
      }
    }
    return owners
  }

  private static func configuration(
    _ files: [GGUFFile], _ owners: [String: GGUFFile]
  ) throws(CheckpointError) -> GGUFConfiguration {
    let embedding = "token_embd.weight"
    return try GGUFConfiguration(
      files[0], contains: { owners[$0] != nil },
      vocabularySize: try owners[embedding]?.description(of: embedding).shape.first,
      divisors: try owners[GGUFNames.rotaryDivisors]?.tensor(GGUFNames.rotaryDivisors))
  }

  /// Whether the file at `path` begins as GGUF files do.
  public static func isGGUF(_ path: String) -> Bool {
    (try? MappedFile(path: path)).map { $0.bytes.starts(with: "GGUF".utf8) } ?? false
  }

  /// What the tensor of a Hugging Face name is called in GGUF files; nil if it is in none.
  public static func storedName(_ name: String) -> String? { GGUFNames.gguf(name) }

  public func contains(_ name: String) -> Bool { places[name] != nil }

  public func description(of name: String) throws(CheckpointError) -> TensorDescription {
    let place = try place(name)
    let stored = try place.file.description(of: place.name)
    if let blocks = stored.blocks {
      return TensorDescription(name: name, blocks: blocks, shape: stored.shape)
    }
    return TensorDescription(name: name, type: stored.type, shape: stored.shape)
  }

  /// The tensor `name`; one of blocks is decoded to floats, see ``linearWeight(_:)``.
  public func tensor(_ name: String) throws(CheckpointError) -> Tensor {
    let place = try place(name)
    let stored = try place.file.description(of: place.name)
    let order = try rowOrder(name, stored.shape)
    if stored.blocks != nil, stored.shape.count == 2 {
      return try place.file.blocks(place.name, rowOrder: order).dequantized()
    }
    return Self.ordered(try place.file.tensor(place.name), order)
  }

  /// The rows of `tensor`, or the elements of a vector, in the order of the network.
  private static func ordered(_ tensor: Tensor, _ order: RowOrder) -> Tensor {
    guard order != .stored, let rows = tensor.shape.first else { return tensor }
    return Tensor(shape: tensor.shape, elementType: tensor.elementType) { out in
      tensor.withBytes { bytes in
        guard let source = bytes.baseAddress, let target = out.baseAddress else { return }
        let size = bytes.count / rows
        for row in 0..<rows {
          (target + row * size).copyMemory(
            from: source + order.storedRow(row) * size, byteCount: size)
        }
      }
    }
  }

  private func rowOrder(_ name: String, _ shape: [Int]) throws(CheckpointError) -> RowOrder {
    guard let head = interleavedHead,
      name.contains("self_attn.q_proj.") || name.contains("self_attn.k_proj.")
    else { return .stored }
    let order = RowOrder.interleavedHeads(width: head)
    guard order.fits(rows: shape[0]) else {
      throw CheckpointError(
        .malformed, "\(path): \(name) has \(shape[0]) rows, no whole number of heads of \(head)")
    }
    return order
  }

  /// The bytes of the tensor `name`, rows in the order of the network.
  public func withBytes<R>(
    of name: String, _ body: (UnsafeRawBufferPointer) throws -> R
  ) throws -> R {
    let place = try place(name)
    let stored = try place.file.description(of: place.name)
    let order = try rowOrder(name, stored.shape)
    if order == .stored { return try place.file.withBytes(of: place.name, body) }
    if stored.blocks != nil {
      return try place.file.blocks(place.name, rowOrder: order).orderedBytes().withBytes(body)
    }
    return try tensor(name).withBytes(body)
  }

  public func evict(_ name: String) {
    if let place = places[name] { place.file.evict(place.name) }
  }

  /// The matrix of a linear layer or embedding, its blocks as they are.
  public func linearWeight(_ module: String) throws -> StoredWeight {
    let name = module + ".weight"
    let place = try place(name)
    let stored = try place.file.description(of: place.name)
    guard stored.blocks != nil else { return .dense(try tensor(name)) }
    return .blocks(
      try place.file.blocks(place.name, rowOrder: try rowOrder(name, stored.shape)))
  }

  private func place(_ name: String) throws(CheckpointError) -> Place {
    guard let place = places[name] else {
      throw CheckpointError(.missing, "\(path): no tensor \(name) in the checkpoint")
    }
    return place
  }
}

/// Models in several files, `NAME-00001-of-0000N.gguf`.
private enum GGUFParts {
  static func open(_ path: String) throws(CheckpointError) -> [GGUFFile] {
    let first = try GGUFFile(path: path)
    let count = first["split.count"]?.int ?? 1
    guard count > 1 else { return [first] }
    guard let prefix = prefix(path, 1, count), first["split.no"]?.int == 0 else {
      throw CheckpointError(
        .malformed,
        "\(path): a part of a model in \(count) files; name its first, "
          + "…-00001-of-\(digits(count)).gguf")
    }
    var files = [first]
    for number in 2...count {
      let file = try GGUFFile(path: "\(prefix)\(ending(number, count))")
      guard file["split.no"]?.int == number - 1, file["split.count"]?.int == count else {
        throw CheckpointError(
          .malformed, "\(file.path): not part \(number) of the model \(path); fetch it again")
      }
      files.append(file)
    }
    if let total = first["split.tensors.count"]?.int {
      let found = files.reduce(0) { $0 + $1.tensors.count }
      guard found == total else {
        throw CheckpointError(
          .malformed, "\(path): \(found) tensors in all parts, but \(total) announced")
      }
    }
    return files
  }

  private static func ending(_ number: Int, _ count: Int) -> String {
    "-\(digits(number))-of-\(digits(count)).gguf"
  }

  private static func prefix(_ path: String, _ number: Int, _ count: Int) -> String? {
    let ending = ending(number, count)
    return count < 100_000 && path.hasSuffix(ending) ? String(path.dropLast(ending.count)) : nil
  }

  private static func digits(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, 5 - text.count)) + text
  }
}
