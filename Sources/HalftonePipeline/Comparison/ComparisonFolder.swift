import Foundation
import HalftoneReport

/// The directory of a comparison: results, one file a recipe and seed, and the models in work.
struct ComparisonFolder {
  let path: String
  private var results: String { path + "/results" }
  private var models: String { path + "/models" }

  /// Makes the directory ready.
  ///
  /// - Throws: ``PipelineError`` if something else is there.
  init(_ options: ComparisonOptions) throws {
    path = URL(fileURLWithPath: options.output).standardizedFileURL.path
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    if SystemFile.exists(path), !SystemFile.isDirectory(path) {
      throw PipelineError(.cannotCreate, "a file; name a directory for the results", at: path)
    }
    if !entries.isEmpty { try checkOwn(entries, options) }
    if !SystemFile.exists(path) { try SystemFile.createDirectory(path) }
    if options.overwrite {
      for name in ["results", "models"] + Self.tables { try SystemFile.remove(path + "/" + name) }
    }
    for folder in [results, models] where !SystemFile.isDirectory(folder) {
      try SystemFile.createDirectory(folder)
    }
  }

  private static let tables = ["comparison.json", "comparison.md", "comparison.html"]

  private func checkOwn(_ entries: [String], _ options: ComparisonOptions) throws {
    guard entries.contains("results") else {
      throw PipelineError(
        .cannotCreate, "not empty, and no comparison's directory; choose another --output", at: path
      )
    }
    guard options.resume || options.overwrite else {
      throw PipelineError(
        .cannotCreate,
        "holds a comparison already; go on with --resume, or start again with --overwrite", at: path
      )
    }
  }

  // MARK: - Results

  /// What was measured with exactly this fingerprint; nil if nothing was, or it cannot be read.
  func result(_ name: String, _ fingerprint: TrialFingerprint) -> ComparisonRun? {
    guard let data = FileManager.default.contents(atPath: resultPath(name)),
      let stored = try? JSONDecoder().decode(StoredRun.self, from: data),
      stored.fingerprint == fingerprint
    else { return nil }
    return stored.run
  }

  func save(_ run: ComparisonRun, _ name: String, _ fingerprint: TrialFingerprint) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let data = try encoder.encode(StoredRun(fingerprint: fingerprint, run: run))
    try SystemFile.write(data, to: resultPath(name))
  }

  private func resultPath(_ name: String) -> String { "\(results)/\(name).json" }

  private struct StoredRun: Codable {
    var fingerprint: TrialFingerprint
    var run: ComparisonRun
  }

  // MARK: - Models

  /// Where the quantized model of that name is written.
  func modelPath(_ name: String) -> String { "\(models)/\(name)" }

  /// The report of a model that is complete.
  func report(_ name: String) -> RunRecord? {
    FileManager.default.contents(atPath: modelPath(name) + "/report.json")
      .flatMap { try? RunRecord(json: $0) }
  }

  /// Removes a model and what its run left.
  func removeModel(_ name: String) throws {
    try SystemFile.remove(modelPath(name))
    try SystemFile.remove(Journal.directory(forOutput: modelPath(name)))
  }

  // MARK: - The end

  func write(_ record: ComparisonRecord) throws {
    let contents = [
      try record.json(), Data(ComparisonMarkdown.render(record).utf8),
      Data(ComparisonHTML.render(record).utf8),
    ]
    for (name, data) in zip(Self.tables, contents) {
      try SystemFile.write(data, to: path + "/" + name)
    }
    rmdir(models)
  }
}

/// All that a result depends on; results are used again only where none of it changed.
struct TrialFingerprint: Codable, Equatable {
  var run: RunFingerprint
  /// Hash of the text to predict.
  var text: String
  var context: Int
  var windows: Int?
  /// The seconds depend on them.
  var threads: Int

  /// A name for files: the recipe's, the seed, and a hash of everything.
  func name(_ source: String) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let hash = String(ContentHash.of(try encoder.encode(self)), radix: 16)
    let stem = ComparisonOptions.stem(source).map { character in
      character.isASCII && (character.isLetter || character.isNumber) || character == "-"
        ? character : "_"
    }
    return "\(String(stem.prefix(64)))-seed\(run.seed)-\(hash)"
  }
}
