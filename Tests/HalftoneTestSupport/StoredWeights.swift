import Foundation
public import HalftoneLayers
public import HalftoneTensor

/// The tensors of safetensors files that tests brought along, read without distrust.
public struct StoredWeights: WeightSource {
  private let tensors: [String: Tensor]

  /// The named file, or all `*.safetensors` of a folder but `golden.safetensors`.
  public init(_ path: String) throws {
    var isFolder: ObjCBool = false
    _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    let files =
      isFolder.boolValue
      ? try FileManager.default.contentsOfDirectory(atPath: path)
        .filter { $0.hasSuffix(".safetensors") && $0 != "golden.safetensors" }
        .map { "\(path)/\($0)" } : [path]
    var tensors: [String: Tensor] = [:]
    for file in files { tensors.merge(try Self.read(file)) { first, _ in first } }
    self.tensors = tensors
  }

  /// The same source with some tensors replaced, or left out where nil.
  public init(_ other: StoredWeights, replacing changes: [String: Tensor?]) {
    tensors = other.tensors.merging(changes.compactMapValues { $0 }) { $1 }
      .filter { changes[$0.key].map { $0 != nil } ?? true }
  }

  private init(tensors: [String: Tensor]) { self.tensors = tensors }

  /// The same source with every tensor changed.
  public func mapped(_ change: (Tensor) -> Tensor) -> StoredWeights {
    StoredWeights(tensors: tensors.mapValues(change))
  }

  private static func read(_ file: String) throws -> [String: Tensor] {
    struct Entry: Decodable {
      let dtype: String
      let shape: [Int]
      let range: [Int]
      enum CodingKeys: String, CodingKey {
        case dtype, shape
        case range = "data_offsets"
      }
    }
    let mapped = try MappedFile(path: file)
    let length = Int(mapped.bytes.loadUnaligned(as: UInt64.self))
    var header =
      try JSONSerialization.jsonObject(with: Data(mapped.bytes[8..<8 + length]))
      as? [String: Any] ?? [:]
    header["__metadata__"] = nil
    let entries = try JSONDecoder().decode(
      [String: Entry].self, from: JSONSerialization.data(withJSONObject: header))
    return try entries.mapValues { entry in
      guard let type = ElementType(rawValue: entry.dtype) else { throw Missing(entry.dtype) }
      return Tensor(
        mapping: mapped, offset: 8 + length + entry.range[0], elementType: type,
        shape: entry.shape)
    }
  }

  public var names: [String] { tensors.keys.sorted() }

  public func shape(of name: String) -> [Int]? { tensors[name]?.shape }

  public func tensor(_ name: String) throws -> Tensor {
    guard let tensor = tensors[name] else { throw Missing(name) }
    return tensor
  }

  public func linearWeight(_ module: String) throws -> LinearWeight {
    .dense(try tensor("\(module).weight"))
  }

  public func inputQuantizer(_ module: String) throws -> InputQuantizer? { nil }

  /// A tensor or type that the files do not have.
  public struct Missing: Error, Equatable {
    public let name: String
    init(_ name: String) { self.name = name }
  }
}
