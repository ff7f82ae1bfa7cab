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
    let model = URL(fileURLWithPath: options.model).standardizedFileURL.path
    guard path != model, !model.hasPrefix(path + "/") else {
      throw PipelineError(
        .usage, "the output would replace the model itself; choose another --output", at: path)
    }
    let parent = (path as NSString).deletingLastPathComponent
    guard SystemFile.isDirectory(parent) else {
      throw PipelineError(
        .cannotCreate, "there is no directory \(parent); create it first", at: path)
    }
    let journal = Journal.directory(forOutput: path)
    let isUnfinished = SystemFile.exists(journal + "/run.json")
    if isUnfinished, !options.resume, !options.overwrite {
      throw PipelineError(
        .cannotCreate,
        "an unfinished run for this output is there; go on with --resume, or start again with "
          + "--overwrite", at: journal)
    }
    guard SystemFile.exists(path) else { return }
    guard options.overwrite || options.resume && isUnfinished else {
      throw PipelineError(
        .cannotCreate,
        options.resume
          ? "exists, and no unfinished run is there to resume; replace it with --overwrite"
          : "exists already; choose another --output, or replace it with --overwrite", at: path)
    }
    let entries = try? FileManager.default.contentsOfDirectory(atPath: path)
    guard let entries, entries.isEmpty || entries.contains("config.json") else {
      throw PipelineError(
        .cannotCreate, "not a model's directory, so it is not replaced; remove it yourself",
        at: path)
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
