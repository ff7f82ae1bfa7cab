import Foundation
public import HalftoneReport

/// The directory of a study's reports, which appears complete or not at all.
public enum StudyOutput {
  private static let file = "report.json"

  /// - Throws: ``PipelineError`` where something else is in the way.
  public static func check(_ path: String, overwriting: Bool) throws {
    let full = URL(fileURLWithPath: path).standardizedFileURL.path
    let parent = (full as NSString).deletingLastPathComponent
    guard SystemFile.isDirectory(parent) else {
      throw PipelineError(
        .cannotCreate, "there is no directory \(parent); create it first", at: path)
    }
    guard SystemFile.exists(path) else { return }
    guard overwriting else {
      throw PipelineError(
        .cannotCreate, "exists already; choose another --output, or replace it with --overwrite",
        at: path)
    }
    guard SystemFile.exists("\(path)/\(file)"), SystemFile.exists("\(path)/report.svg") else {
      throw PipelineError(
        .cannotCreate, "not the directory of a study, so it is not replaced; remove it yourself",
        at: path)
    }
  }

  /// Writes `record` as JSON, Markdown and a picture.
  public static func write(_ record: FormatStudyRecord, to path: String) throws {
    let path = URL(fileURLWithPath: path).standardizedFileURL.path
    let staging = path + ".partial-\(ProcessInfo.processInfo.processIdentifier)"
    let replaced = path + ".replaced-\(ProcessInfo.processInfo.processIdentifier)"
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      try SystemFile.createDirectory(staging)
      try SystemFile.write(try encoder.encode(record) + Data("\n".utf8), to: "\(staging)/\(file)")
      try SystemFile.write(
        Data(FormatStudyText.markdown(record).utf8), to: "\(staging)/report.md")
      try SystemFile.write(Data(FormatStudyText.picture(record).utf8), to: "\(staging)/report.svg")
      if SystemFile.exists(path) { try SystemFile.move(path, to: replaced) }
      try SystemFile.move(staging, to: path)
      if SystemFile.exists(replaced) { try SystemFile.remove(replaced) }
    } catch {
      if SystemFile.exists(replaced), !SystemFile.exists(path) {
        try? SystemFile.move(replaced, to: path)
      }
      try? SystemFile.remove(staging)
      throw error
    }
  }
}
