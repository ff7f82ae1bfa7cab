public import HalftoneTensor
public import Foundation

/// The tensors of a small safetensors file, read without any code of the project's own reader.
public struct GoldenFile {
  private let tensors: [String: (type: String, shape: [Int], data: Data)]

  /// `name` is relative to the folder Golden beside the test file.
  public init(_ name: String, file: String = #filePath) throws {
    let folder = URL(fileURLWithPath: file).deletingLastPathComponent()
    try self.init(
      contentsOf: folder.appendingPathComponent("Golden").appendingPathComponent(name))
  }

  public init(contentsOf url: URL) throws {
    let data = try Data(contentsOf: url)
    let length = Int(data.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    let header = try JSONSerialization.jsonObject(with: data[8..<8 + length])
    var tensors: [String: (String, [Int], Data)] = [:]
    for (name, entry) in header as? [String: [String: Any]] ?? [:] where name != "__metadata__" {
      guard let type = entry["dtype"] as? String, let shape = entry["shape"] as? [Int],
        let range = entry["data_offsets"] as? [Int]
      else { throw GoldenError(description: "\(url.lastPathComponent): entry \(name)") }
      tensors[name] = (type, shape, Data(data[8 + length + range[0]..<8 + length + range[1]]))
    }
    self.tensors = tensors
  }

  public var names: [String] { tensors.keys.sorted() }

  public func floats(_ name: String) throws -> Tensor {
    let (type, shape, data) = try entry(name)
    switch type {
    case "F32":
      return Tensor(data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }, shape: shape)
    case "BF16":
      let halves = data.withUnsafeBytes { Array($0.bindMemory(to: UInt16.self)) }
      return Tensor(halves.map { Float(bitPattern: UInt32($0) << 16) }, shape: shape)
    default: throw GoldenError(description: "\(name) is \(type)")
    }
  }

  public func integers(_ name: String) throws -> [Int] {
    let (type, _, data) = try entry(name)
    switch type {
    case "I32": return data.withUnsafeBytes { $0.bindMemory(to: Int32.self).map(Int.init) }
    case "I64": return data.withUnsafeBytes { $0.bindMemory(to: Int64.self).map(Int.init) }
    default: throw GoldenError(description: "\(name) is \(type)")
    }
  }

  public func bytes(_ name: String) throws -> [UInt8] {
    let (type, _, data) = try entry(name)
    guard type == "U8" else { throw GoldenError(description: "\(name) is \(type)") }
    return Array(data)
  }

  public func shape(_ name: String) throws -> [Int] { try entry(name).shape }

  private func entry(_ name: String) throws -> (type: String, shape: [Int], data: Data) {
    guard let entry = tensors[name] else {
      throw GoldenError(description: "no tensor \(name); there are \(names)")
    }
    return entry
  }
}

public struct GoldenError: Error, CustomStringConvertible {
  public let description: String
}
