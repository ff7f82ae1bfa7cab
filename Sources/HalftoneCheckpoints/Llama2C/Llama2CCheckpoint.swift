import Foundation
public import HalftoneTensor

/// A llama2.c `.bin` file (version 0) as a Llama checkpoint with Hugging Face names.
///
/// Rows of the query and key weights are put back from the interleaved rotary order of that format
/// (pairs 2i, 2i+1) into the half-split order of Hugging Face (pairs i, i + d/2).
public final class Llama2CCheckpoint: WeightStore {
  public let path: String
  public let names: [String]
  public let config: JSONValue
  public let sideFiles: [String] = []
  private let file: MappedFile
  private let places: [String: Llama2CLayout.Place]

  /// Maps the file at `path`.
  ///
  /// - Throws: `CheckpointError`: `.missing` without a file, `.malformed` if sizes do not agree.
  public init(path: String) throws(CheckpointError) {
    file = try mapped(path)
    self.path = path
    let layout = try Llama2CLayout(file.bytes, path: path)
    places = layout.places
    names = layout.places.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    config = layout.config
  }

  public func contains(_ name: String) -> Bool { places[name] != nil }

  public func description(of name: String) throws(CheckpointError) -> TensorDescription {
    TensorDescription(name: name, type: .float32, shape: try place(name).shape)
  }

  public func tensor(_ name: String) throws(CheckpointError) -> Tensor {
    let place = try place(name)
    let stored = Tensor(
      mapping: file, offset: place.offset, elementType: .float32, shape: place.shape)
    guard let head = place.interleavedHead else { return stored }
    let rowBytes = place.shape[1] * 4
    return Tensor(shape: place.shape, elementType: .float32) { out in
      stored.withBytes { bytes in
        guard let source = bytes.baseAddress, let target = out.baseAddress else { return }
        for row in 0..<place.shape[0] {
          let inHead = row % head
          let pair = inHead % (head / 2)
          let from = row - inHead + 2 * pair + inHead / (head / 2)
          (target + row * rowBytes).copyMemory(from: source + from * rowBytes, byteCount: rowBytes)
        }
      }
    }
  }

  public func withBytes<R>(
    of name: String, _ body: (UnsafeRawBufferPointer) throws -> R
  ) throws -> R {
    try tensor(name).withBytes(body)
  }

  private func place(_ name: String) throws(CheckpointError) -> Llama2CLayout.Place {
    guard let place = places[name] else {
      throw CheckpointError(.missing, "\(path): no tensor \(name) in the checkpoint")
    }
    return place
  }
}
