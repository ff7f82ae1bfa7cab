import Foundation
import HalftoneCheckpoints
import HalftoneMethods
import HalftoneTensor

/// The directory in which a run keeps what it has finished, beside its output.
///
/// A block's file appears whole by one rename, after the streams that enter the next block are on
/// disk; a run killed at any moment goes on after the last block that has its file.
final class Journal {
  let directory: String
  private let lock: Int32

  /// `.NAME.halftone-run` beside `output`.
  static func directory(forOutput output: String) -> String {
    let path = output as NSString
    return (path.deletingLastPathComponent as NSString).appendingPathComponent(
      ".\(path.lastPathComponent).halftone-run")
  }

  /// Opens the run directory of `output`, making it if it is not there.
  ///
  /// - Throws: ``PipelineError`` if another process is writing there.
  init(output: String) throws {
    directory = Self.directory(forOutput: output)
    if !SystemFile.isDirectory(directory) { try SystemFile.createDirectory(directory) }
    let path = directory + "/lock"
    lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard lock >= 0 else { throw SystemFile.failure(path, errno, creating: true) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      close(lock)
      throw PipelineError(
        .cannotCreate, "another halftone is writing this output; wait for it, or choose another",
        at: directory)
    }
  }

  deinit { close(lock) }

  // MARK: - Fingerprint

  private var fingerprintPath: String { directory + "/run.json" }

  func begin(_ fingerprint: RunFingerprint) throws {
    try SystemFile.write(fingerprint.json(), to: fingerprintPath)
  }

  /// Of the run that began here; nil where it cannot be read.
  var fingerprint: RunFingerprint? {
    FileManager.default.contents(atPath: fingerprintPath).flatMap {
      try? JSONDecoder().decode(RunFingerprint.self, from: $0)
    }
  }

  /// - Throws: ``PipelineError`` naming what changed since the run began.
  func checkSame(_ fingerprint: RunFingerprint) throws {
    guard let stored = self.fingerprint else {
      throw PipelineError(
        .badInput, "cannot be read: start again with --overwrite", at: fingerprintPath)
    }
    let differences = fingerprint.differences(from: stored)
    guard differences.isEmpty else {
      throw PipelineError(
        .badInput,
        "it cannot go on: changed since it began: \(differences.joined(separator: ", "))"
          + "; use the same, or --overwrite to start anew", at: directory)
    }
  }

  var hasBegun: Bool { SystemFile.exists(fingerprintPath) }

  // MARK: - Blocks

  private func blockPath(_ index: Int) -> String { directory + "/block-\(index).safetensors" }
  private func streamsPath(_ index: Int) -> String { directory + "/streams-\(index).safetensors" }

  /// How many blocks are finished, counted from the first.
  func finishedBlocks(of count: Int) -> Int {
    (0..<count).first { !SystemFile.exists(blockPath($0)) } ?? count
  }

  func block(_ index: Int, layers: [Plan.Layer]) throws -> BlockResult {
    try BlockResult(path: blockPath(index), layers: layers)
  }

  /// The streams that enter block `index`.
  func streams(_ index: Int, length: Int, rows: Int, hidden: Int) throws -> Streams {
    let path = streamsPath(index)
    let file = try SafetensorsFile(path: path)
    func stream(_ name: String) throws -> ActivationStream {
      let tensor = try file.tensor(name)
      guard tensor.shape == [rows, hidden], tensor.elementType == .float32 else {
        throw PipelineError(.badInput, "of another run; start again with --overwrite", at: path)
      }
      return ActivationStream(activations: tensor.copied(), length: length)
    }
    return Streams(original: try stream("original"), quantized: try stream("quantized"))
  }

  /// Keeps block `index` and, unless it is the last one, the streams that enter the next.
  ///
  /// Without `durably` a power failure may lose the block, which is right for what takes less time to
  /// make than to put on the disk.
  func save(
    _ result: BlockResult, block index: Int, next streams: Streams?,
    carried: CarriedState = CarriedState(), durably: Bool = true
  ) throws {
    if streams != nil { try save(carried, enteringBlock: index + 1) }
    if let streams {
      try TensorFile.write(
        [
          ("original", streams.original.activations),
          ("quantized", streams.quantized.activations),
        ], to: streamsPath(index + 1))
    }
    try result.write(to: blockPath(index), durably: durably)
    try SystemFile.remove(streamsPath(index))
    for name in carriedFiles(upTo: index) { try SystemFile.remove(directory + "/" + name) }
  }

  // MARK: - What methods carry from block to block

  private func carriedPath(_ index: Int) -> String { directory + "/carried-\(index).safetensors" }

  /// What the method left for block `index` and later ones.
  func carried(enteringBlock index: Int) throws -> CarriedState {
    let path = carriedPath(index)
    guard SystemFile.exists(path) else { return CarriedState() }
    let file = try SafetensorsFile(path: path)
    return CarriedState(
      tensors: Dictionary(
        uniqueKeysWithValues: try file.tensors.map { ($0.name, try file.tensor($0.name).copied()) })
    )
  }

  private func save(_ carried: CarriedState, enteringBlock index: Int) throws {
    guard !carried.tensors.isEmpty else { return }
    try SystemFile.remove(carriedPath(index))
    guard carried.hasChanged || !SystemFile.exists(carriedPath(index - 1)) else {
      return try FileManager.default.linkItem(
        atPath: carriedPath(index - 1), toPath: carriedPath(index))
    }
    let tensors = carried.tensors.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    try TensorFile.write(tensors, to: carriedPath(index))
  }

  /// Files for blocks that are finished.
  private func carriedFiles(upTo index: Int) -> [String] {
    let names = (0...index).map { "carried-\($0).safetensors" }
    return names.filter { SystemFile.exists(directory + "/" + $0) }
  }

  // MARK: - End

  /// Where the output is put together.
  var outputPath: String { directory + "/output" }

  /// Where an output that is being replaced waits for its end.
  var replacedPath: String { Self.replacedPath(in: directory) }

  static func replacedPath(in directory: String) -> String { directory + "/replaced" }

  /// Forgets all that is finished, for a new start.
  func clear() throws {
    for name in try FileManager.default.contentsOfDirectory(atPath: directory)
    where name != "lock" {
      try SystemFile.remove(directory + "/" + name)
    }
  }

  /// Removes all of it, last what says that there is a run, so that what a kill leaves can be resumed.
  ///
  /// The first block goes first: without it none counts as finished, and the streams that the next one
  /// would need are gone already.
  func remove() throws {
    try SystemFile.remove(blockPath(0))
    for name in try FileManager.default.contentsOfDirectory(atPath: directory)
    where name != "run.json" {
      try SystemFile.remove(directory + "/" + name)
    }
    try SystemFile.remove(directory)
  }
}

/// What a method leaves for later blocks, and whether the last block changed it.
struct CarriedState {
  var tensors: [String: Tensor] = [:]
  var hasChanged = false
}

/// The activations that enter a block, in the original network and in the one quantized so far.
struct Streams {
  var original: ActivationStream
  var quantized: ActivationStream
}
