import Foundation

/// Which safetensors files a directory's tensors are in, checked against its index.
struct CheckpointLayout {
  var files: [SafetensorsFile] = []
  var owners: [String: SafetensorsFile] = [:]

  init(directory: String) throws(CheckpointError) {
    let index = directory + "/model.safetensors.index.json"
    if exists(directory + "/model.safetensors") {
      try add(SafetensorsFile(path: directory + "/model.safetensors"))
    } else if exists(index) {
      try readShards(index: index, directory: directory)
    } else {
      try add(SafetensorsFile(path: Self.onlyFile(directory)))
    }
  }

  private mutating func add(_ file: SafetensorsFile) throws(CheckpointError) {
    for tensor in file.tensors {
      if let other = owners.updateValue(file, forKey: tensor.name) {
        throw CheckpointError(
          .malformed, "\(file.path): tensor \(tensor.name) is also in \(other.path)")
      }
    }
    files.append(file)
  }

  private mutating func readShards(index: String, directory: String) throws(CheckpointError) {
    guard let map = try readJSON(index)["weight_map"]?.object else {
      throw CheckpointError(.malformed, "\(index): no weight_map object")
    }
    var shards: [String: [String]] = [:]
    for (tensor, value) in map.pairs {
      guard let shard = value.string else {
        throw CheckpointError(.malformed, "\(index): the file of tensor \(tensor) is no string")
      }
      shards[shard, default: []].append(tensor)
    }
    for shard in shards.keys.sorted() {
      try Self.checkName(shard, index: index)
      let path = directory + "/" + shard
      try refuseForeignLink(path)
      guard exists(path) else {
        throw CheckpointError(
          .missing, "\(path): the shard that \(index) names is not there; fetch it again")
      }
      try add(SafetensorsFile(path: path))
      for tensor in shards[shard] ?? [] where owners[tensor]?.path != path {
        throw CheckpointError(
          .malformed, "\(index): tensor \(tensor) is not in \(shard); fetch the checkpoint again")
      }
    }
    for (tensor, file) in owners where map[tensor] == nil {
      throw CheckpointError(
        .malformed, "\(file.path): tensor \(tensor) is not in \(index); fetch the index again")
    }
  }

  /// A shard is a plain file of the same directory.
  private static func checkName(_ shard: String, index: String) throws(CheckpointError) {
    let plain =
      !shard.isEmpty && !shard.hasPrefix(".")
      && !shard.utf8.contains { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") || $0 == 0 }
    guard plain else {
      throw CheckpointError(
        .malformed, "\(index): shard \"\(shard)\" lies outside of the checkpoint's directory")
    }
    guard shard.hasSuffix(".safetensors") else {
      throw CheckpointError(
        .malformed, "\(index): shard \"\(shard)\" is no safetensors file; convert the checkpoint")
    }
  }

  /// The one safetensors file of a directory without `model.safetensors` and index.
  private static func onlyFile(_ directory: String) throws(CheckpointError) -> String {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    let candidates = all.filter { $0.hasSuffix(".safetensors") && !$0.hasPrefix(".") }
    if candidates.count == 1, !candidates[0].hasPrefix("adapter") {
      return directory + "/" + candidates[0]
    }
    let hint =
      candidates.count > 1
      ? "several safetensors files but no model.safetensors.index.json; fetch the index"
      : all.contains { $0.hasSuffix(".bin") || $0.hasSuffix(".pt") }
        ? "only pickled weights, which are not read because they can run code; "
          + "convert them to safetensors"
        : "no model.safetensors and no model.safetensors.index.json"
    throw CheckpointError(.missing, "\(directory): \(hint)")
  }
}

/// Whether something, even a dangling link, has this path.
func exists(_ path: String) -> Bool {
  var status = stat()
  return lstat(path, &status) == 0
}

/// Refuses symbolic links, which could lead anywhere, but for those of the Hugging Face cache.
///
/// There every file of a snapshot is a link `../../blobs/HASH`.
func refuseForeignLink(_ path: String) throws(CheckpointError) {
  guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path) else {
    return
  }
  let prefix = "../../blobs/"
  let isCached =
    target.hasPrefix(prefix) && target.count > prefix.count
    && target.dropFirst(prefix.count).allSatisfy { $0.isASCII && $0.isHexDigit }
  guard isCached else {
    throw CheckpointError(
      .malformed, "\(path): a symbolic link; put the file itself in the checkpoint's directory")
  }
}
