import Foundation
import HalftoneCheckpoints
import HalftoneSchemes
import HalftoneTensor
import Testing

/// A directory that is removed when the test ends.
final class ScratchDirectory {
  let path: String

  init() throws {
    // In memory where there is such a place: the writers wait for the disk after every file.
    let memory = URL(fileURLWithPath: "/dev/shm", isDirectory: true)
    let isWritable = FileManager.default.isWritableFile(atPath: memory.path)
    let url = (isWritable ? memory : FileManager.default.temporaryDirectory)
      .appendingPathComponent("halftone-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String, _ bytes: [UInt8]) throws -> String {
    let path = self.path + "/" + name
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return path
  }

  func file(_ name: String, _ text: String) throws -> String { try file(name, Array(text.utf8)) }

  /// The names in the directory, hidden ones too.
  func entries() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted()
  }
}

func resource(_ path: String) -> String {
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Resources/" + path).path
}

func golden(_ path: String) -> String {
  URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Golden/" + path).path
}

func contents(_ path: String) throws -> [UInt8] {
  Array(try Data(contentsOf: URL(fileURLWithPath: path)))
}

extension Tensor {
  var bytes: [UInt8] { withBytes { Array($0) } }
}

extension WeightStore {
  func bytes(of name: String) throws -> [UInt8] { try withBytes(of: name) { Array($0) } }
}

/// Numbers in −1..<1, the same for a seed.
func noise(_ shape: [Int], seed: UInt64) -> Tensor {
  var state = seed
  return Tensor(shape: shape) { out in
    for i in out.indices {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      out[i] = Float(Int32(truncatingIfNeeded: state >> 32)) / 2_147_483_648
    }
  }
}

/// The error that `body` throws.
func error(_ body: () throws -> Void) -> CheckpointError? {
  do {
    try body()
    return nil
  } catch {
    return error as? CheckpointError
  }
}
