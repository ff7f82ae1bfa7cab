import Foundation

/// Where a run's output goes, and whether it may go there.
struct OutputTarget {
  let path: String

  init(_ path: String) {
    self.path = URL(fileURLWithPath: path).standardizedFileURL.path
  }

  /// Checks what is there already, before any work.
  ///
  /// - Throws: ``PipelineError`` if something is in the way, or would be destroyed.
  func check(_ options: QuantizationOptions) throws {
    guard !holds(options.model) else {
      throw PipelineError(
        .usage, "the output would replace the model itself; choose another --output", at: path)
    }
    let parent = (path as NSString).deletingLastPathComponent
    guard SystemFile.isDirectory(parent) else {
      throw PipelineError(
        .cannotCreate, "there is no directory \(parent); create it first", at: path)
    }
    let journal = Journal.directory(forOutput: path)
    try restore(journal)
    let isUnfinished = SystemFile.exists(journal + "/run.json")
    if isUnfinished, !options.resume, !options.overwrite {
      throw PipelineError(
        .cannotCreate,
        "an unfinished run for this output is there; go on with --resume, or start again with "
          + "--overwrite", at: journal)
    }
    if options.format == .gguf, !path.hasSuffix(".gguf") {
      throw PipelineError(.usage, "name a file that ends in .gguf", at: path)
    }
    guard SystemFile.exists(path) else { return }
    guard options.overwrite || options.resume && isUnfinished else {
      throw PipelineError(
        .cannotCreate,
        options.resume
          ? "exists, and no unfinished run is there to resume; replace it with --overwrite"
          : "exists already; choose another --output, or replace it with --overwrite", at: path)
    }
    if options.format == .gguf {
      guard SystemFile.isDirectory(path) else { return }
      throw PipelineError(
        .cannotCreate, "a directory, so it is not replaced; remove it yourself", at: path)
    }
    let entries = try? FileManager.default.contentsOfDirectory(atPath: path)
    guard let entries, entries.isEmpty || entries.contains("config.json") else {
      throw PipelineError(
        .cannotCreate, "not a model's directory, so it is not replaced; remove it yourself",
        at: path)
    }
  }

  /// Puts back what a run that was killed between the two moves of ``publish(_:)`` was to replace.
  private func restore(_ journal: String) throws {
    guard SystemFile.exists(Journal.replacedPath(in: journal)), !SystemFile.exists(path) else {
      return
    }
    // Its lock says that no run is between them now.
    let held = try Journal(output: path)
    guard SystemFile.exists(held.replacedPath), !SystemFile.exists(path) else { return }
    try SystemFile.move(held.replacedPath, to: path)
    if !held.hasBegun { try held.remove() }
  }

  /// Whether `model` is what the output would replace, or lies in it, whatever links lead there.
  private func holds(_ model: String) -> Bool {
    let given = URL(fileURLWithPath: model).standardizedFileURL.path
    if path == given || given.hasPrefix(path + "/") { return true }
    guard let output = Identity(path), let resolved = realpath(model, nil) else { return false }
    defer { free(resolved) }
    var place = String(cString: resolved)
    while place.count > 1 {
      if Identity(place) == output { return true }
      place = (place as NSString).deletingLastPathComponent
    }
    return false
  }

  /// What a file is, whatever path leads to it.
  private struct Identity: Equatable {
    let device: UInt64
    let number: UInt64

    init?(_ path: String) {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      device = UInt64(truncatingIfNeeded: status.st_dev)
      number = UInt64(truncatingIfNeeded: status.st_ino)
    }
  }

  /// Gives the complete directory in the journal its name; what was there goes with the journal.
  func publish(_ journal: Journal) throws {
    let replaces = SystemFile.exists(path)
    if replaces {
      try SystemFile.remove(journal.replacedPath)
      try SystemFile.move(path, to: journal.replacedPath)
    }
    do {
      try SystemFile.move(journal.outputPath, to: path)
    } catch {
      if replaces { try? SystemFile.move(journal.replacedPath, to: path) }
      throw error
    }
  }
}
