import Foundation

/// The tensors of a model written to one safetensors file, or to shards and their index.
final class ShardedOutput {
  let tensors: [String: TensorDescription]
  private let directory: String
  private let shown: String
  private var writers: [(name: String, writer: SafetensorsWriter)] = []
  private var owners: [String: Int] = [:]

  /// Creates the files in `directory` with room for `tensors`, none above `limit` bytes unless a
  /// single tensor is.
  init(
    directory: String, naming shown: String, tensors: [TensorDescription], limit: Int
  ) throws(CheckpointError) {
    self.directory = directory
    self.shown = shown
    self.tensors = Dictionary(tensors.map { ($0.name, $0) }) { first, _ in first }
    let shards = Self.shards(tensors, limit: limit)
    for (index, shard) in shards.enumerated() {
      let name =
        shards.count == 1
        ? "model.safetensors"
        : "model-\(digits(index + 1))-of-\(digits(shards.count)).safetensors"
      let writer = try SafetensorsWriter(
        path: directory + "/" + name, tensors: shard, naming: shown)
      writers.append((name, writer))
      for tensor in shard { owners[tensor.name] = index }
    }
  }

  /// Neighbours by name share a shard until it is full.
  private static func shards(_ tensors: [TensorDescription], limit: Int) -> [[TensorDescription]] {
    var shards: [[TensorDescription]] = [[]]
    var size = 0
    for tensor in tensors.sorted(by: { $0.name < $1.name }) {
      if size > 0, tensor.byteCount > limit - size {
        shards.append([])
        size = 0
      }
      shards[shards.count - 1].append(tensor)
      size += tensor.byteCount
    }
    return shards
  }

  /// Writes the bytes of tensor `name`, or a part of them that begins at byte `start`.
  func write(
    _ name: String, _ bytes: UnsafeRawBufferPointer, at start: Int = 0
  ) throws(CheckpointError) {
    guard let owner = owners[name] else { preconditionFailure("\(name) was not announced") }
    try writers[owner].writer.write(name, bytes, at: start)
  }

  /// Completes the files, and writes the index if there are several.
  func finish() throws(CheckpointError) {
    for (_, writer) in writers { try writer.finish() }
    guard writers.count > 1 else { return }
    var map = JSONObject()
    for name in owners.keys.sorted() {
      map[name] = owners[name].map { .string(writers[$0].name) }
    }
    let total = tensors.values.reduce(0) { $0 + $1.byteCount }
    let index: JSONValue = [
      "metadata": ["total_size": .number(JSONNumber(total))], "weight_map": .object(map),
    ]
    let file = try OutputFile(path: directory + "/model.safetensors.index.json", naming: shown)
    try file.write(Array((index.serialized() + "\n").utf8), at: 0)
    try file.finish()
  }
}

/// Five digits, as the names of shards have them.
private func digits(_ number: Int) -> String {
  let text = String(number)
  return String(repeating: "0", count: max(0, 5 - text.count)) + text
}
