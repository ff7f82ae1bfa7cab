import Foundation
import HalftoneTensor

/// A directory that appears under its name complete or not at all.
///
/// Files are written to a hidden sibling, which ``publish()`` renames; without it nothing remains.
final class OutputDirectory {
  let path: String
  /// Where the files are until the directory is published.
  let staging: String
  private let overwrites: Bool
  private var isOpen = true

  /// - Throws: `CheckpointError.Code.cannotCreate` if `path` exists and is not to be overwritten,
  ///   or holds `model`, or its parent cannot be written.
  init(path: String, overwrites: Bool, keeping model: String) throws(CheckpointError) {
    self.path = URL(fileURLWithPath: path).standardizedFileURL.path
    self.overwrites = overwrites
    staging = siblingPath(of: self.path)
    try Self.restore(self.path)
    try Self.checkTarget(self.path, overwrites: overwrites)
    if let output = Self.resolved(self.path), let model = Self.resolved(model),
      model == output || model.hasPrefix(output + "/")
    {
      throw CheckpointError(
        .cannotCreate, "\(path): would replace the model itself; choose another output")
    }
    guard mkdir(staging, 0o755) == 0 else {
      isOpen = false
      throw outputError(self.path, errno, creating: true)
    }
  }

  deinit { discard() }

  /// The path without links; nil if nothing is there.
  private static func resolved(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// Where the directory that is replaced waits until the new one has its name.
  private static func replacedPath(_ path: String) -> String {
    let url = URL(fileURLWithPath: path)
    return url.deletingLastPathComponent()
      .appendingPathComponent(".\(url.lastPathComponent).halftone-replaced").path
  }

  /// Puts back the directory of a replacement that was killed between its two moves, and removes one that
  /// was killed after them.
  private static func restore(_ path: String) throws(CheckpointError) {
    let old = replacedPath(path)
    guard exists(old) else { return }
    if exists(path) {
      try? FileManager.default.removeItem(atPath: old)
    } else if rename(old, path) != 0 {
      throw CheckpointError(
        .cannotCreate,
        "\(path): was being replaced when a run was killed, and is now \(old); move it back, or remove it"
      )
    }
  }

  /// What may be replaced is a model's directory or an empty one, never anything else.
  private static func checkTarget(_ path: String, overwrites: Bool) throws(CheckpointError) {
    guard exists(path) else { return }
    guard overwrites else {
      throw CheckpointError(
        .cannotCreate, "\(path): exists already; choose another output or allow overwriting")
    }
    let entries = try? FileManager.default.contentsOfDirectory(atPath: path)
    guard let entries, entries.isEmpty || entries.contains("config.json") else {
      throw CheckpointError(
        .cannotCreate, "\(path): not a model's directory, so it is not overwritten; remove it first"
      )
    }
  }

  /// Writes a small file into the directory.
  func write(_ name: String, _ bytes: [UInt8]) throws(CheckpointError) {
    let file = try OutputFile(path: staging + "/" + name, naming: path)
    try file.write(bytes, at: 0)
    try file.finish()
  }

  /// Copies the regular file at `source` into the directory under its own name.
  func copy(_ source: String) throws(CheckpointError) {
    guard try isCarried(source) else { return }
    let name = URL(fileURLWithPath: source).lastPathComponent
    let file = try OutputFile(path: staging + "/" + name, naming: path)
    let original = try mapped(source)
    try file.write(original.bytes, at: 0)
    withExtendedLifetime(original) {}
    try file.finish()
  }

  /// Gives the directory its name; a model's directory there before is replaced.
  func publish() throws(CheckpointError) {
    try Self.checkTarget(path, overwrites: overwrites)
    let old = Self.replacedPath(path)
    let replaces = exists(path)
    if replaces { try? FileManager.default.removeItem(atPath: old) }
    if replaces, rename(path, old) != 0 { throw outputError(path, errno, creating: true) }
    guard rename(staging, path) == 0 else {
      let reason = errno
      if replaces { rename(old, path) }
      throw outputError(path, reason, creating: true)
    }
    isOpen = false
    if replaces { try? FileManager.default.removeItem(atPath: old) }
  }

  /// Removes what was written.
  func discard() {
    guard isOpen else { return }
    isOpen = false
    try? FileManager.default.removeItem(atPath: staging)
  }
}

/// Whether the side file at `path` is carried from model to model: directories are not.
///
/// - Throws: `CheckpointError` for links and whatever else is no readable regular file.
func isCarried(_ path: String) throws(CheckpointError) -> Bool {
  try refuseForeignLink(path)
  var status = stat()
  guard stat(path, &status) == 0 else { return false }
  if status.st_mode & S_IFMT == S_IFDIR { return false }
  guard status.st_mode & S_IFMT == S_IFREG else {
    throw CheckpointError(
      .malformed, "\(path): not a regular file; remove it from the checkpoint's directory")
  }
  _ = try mapped(path)
  return true
}

extension WeightStore {
  /// Checks that all side files can be copied, before work is spent on an output they belong to.
  ///
  /// - Throws: `CheckpointError` naming the first that cannot.
  public func checkSideFiles() throws(CheckpointError) {
    for file in sideFiles { _ = try isCarried(file) }
  }
}
