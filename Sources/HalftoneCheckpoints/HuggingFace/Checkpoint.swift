import Foundation
public import HalftoneTensor

/// A Hugging Face model directory: `config.json` and safetensors, in one file or in shards.
///
/// Opening reads `config.json`, the index and the shards' headers, and checks them all.
public final class Checkpoint: WeightStore {
  public let path: String
  public let names: [String]
  public let config: JSONValue
  /// The safetensors files, in the order of their names.
  public let files: [SafetensorsFile]
  private let owners: [String: SafetensorsFile]
  private let storedQuantization: Result<StoredQuantization, CheckpointError>

  /// Opens the directory at `path`.
  ///
  /// - Throws: `CheckpointError`: `.missing` names the file that is not there, `.malformed` what is
  ///   wrong with the one that is.
  public init(path: String) throws(CheckpointError) {
    self.path = path
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw CheckpointError(.missing, "\(path): no such directory")
    }
    guard isDirectory.boolValue else {
      throw CheckpointError(.malformed, "\(path): not a directory; name the model's directory")
    }
    let config = try readJSON(path + "/config.json")
    guard config.object != nil else {
      throw CheckpointError(.malformed, "\(path)/config.json: no JSON object")
    }
    self.config = config
    storedQuantization = Result { () throws(CheckpointError) in
      try StoredQuantization(config, path: path)
    }
    let layout = try CheckpointLayout(directory: path)
    files = layout.files
    owners = layout.owners
    names = layout.owners.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  public func contains(_ name: String) -> Bool { owners[name] != nil }

  public func description(of name: String) throws(CheckpointError) -> TensorDescription {
    try owner(name).description(of: name)
  }

  public func tensor(_ name: String) throws(CheckpointError) -> Tensor {
    try owner(name).tensor(name)
  }

  public func withBytes<R>(
    of name: String, _ body: (UnsafeRawBufferPointer) throws -> R
  ) throws -> R {
    try owner(name).withBytes(of: name, body)
  }

  public func evict(_ name: String) { owners[name]?.evict(name) }

  /// How the weights were quantized.
  ///
  /// - Throws: `CheckpointError` for a configuration that is malformed or of a tool that is not known.
  public func quantization() throws(CheckpointError) -> StoredQuantization {
    try storedQuantization.get()
  }

  /// How the weights were quantized, if they were by compressed-tensors.
  ///
  /// - Throws: as ``quantization()``.
  public func quantizationConfig() throws(CheckpointError) -> CompressedTensorsConfig? {
    if case .compressedTensors(let config) = try quantization() { config } else { nil }
  }

  private func owner(_ name: String) throws(CheckpointError) -> SafetensorsFile {
    guard let file = owners[name] else {
      throw CheckpointError(.missing, "\(path): no tensor \(name) in the checkpoint")
    }
    return file
  }

  public var sideFiles: [String] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return entries.sorted().filter(Self.isSideFile).map { path + "/" + $0 }
  }

  /// Weights in any format, their indexes and `config.json` are not carried from model to model.
  private static func isSideFile(_ name: String) -> Bool {
    let weights = [
      ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".h5", ".msgpack", ".npz",
      ".safetensors.index.json", ".bin.index.json",
    ]
    return !name.hasPrefix(".") && name != "config.json" && name != "report.json"
      && !weights.contains { name.hasSuffix($0) }
  }
}

/// Reads a small JSON file completely.
func readJSON(_ path: String) throws(CheckpointError) -> JSONValue {
  let file = try mapped(path)
  guard file.bytes.count <= 256 << 20 else {
    throw CheckpointError(.malformed, "\(path): \(file.bytes.count) bytes are too many for JSON")
  }
  defer { withExtendedLifetime(file) {} }
  do {
    return try JSONValue(parsing: file.bytes)
  } catch {
    throw CheckpointError(.malformed, "\(path): not valid JSON: \(error)")
  }
}
