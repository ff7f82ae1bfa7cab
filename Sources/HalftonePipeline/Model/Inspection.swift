import Foundation
public import HalftoneCheckpoints
public import HalftoneReport
import HalftoneModels
import HalftoneSchemes

/// What a checkpoint holds: the document that `inspect --json` prints.
public struct Inspection: Encodable, Sendable {
  public var path: String
  public var modelType: String?
  public var parameters: Int
  public var bytes: Int
  /// Bytes of all tensors by the parameters they stand for.
  public var bitsPerParameter: Double
  public var tensors: [Tensor]
  /// The linear layers that are quantized; empty for an original model.
  public var layers: [Layer]
  /// How keys and values are quantized; nil where they are not.
  public var cache: String?
  /// As written by Halftone.
  public var recipe: String?
  public var report: RunRecord?
  /// What is wrong with it; nil where that was not looked for.
  public var problems: [CheckpointProblem]?

  public struct Tensor: Encodable, Sendable {
    public var name: String
    public var type: String
    public var shape: [Int]
    public var bytes: Int
  }

  public struct Layer: Encodable, Sendable {
    public var name: String
    public var shape: [Int]
    /// All of the following in words.
    public var scheme: String
    /// "int4", "e4m3fn", "Q4_K".
    public var format: String
    /// "group 32", "channel", "blocks of 256".
    public var granularity: String
    public var symmetric: Bool?
    /// The type of the scales as stored, "BF16"; nil where they are in the blocks.
    public var scaleType: String?
    /// How inputs are quantized; nil where they are not.
    public var inputs: String?
    public var outliers: Int?
    public var lowRank: Int?
    public var bytes: Int
    public var bitsPerWeight: Double

    enum CodingKeys: String, CodingKey {
      case name, shape, scheme, format, granularity, symmetric, inputs, outliers, bytes
      case scaleType = "scale_type"
      case lowRank = "low_rank"
      case bitsPerWeight = "bits_per_weight"
    }
  }

  enum CodingKeys: String, CodingKey {
    case path, parameters, bytes, tensors, layers, cache, recipe, report, problems
    case modelType = "model_type"
    case bitsPerParameter = "bits_per_parameter"
  }

  /// Reads the headers of the checkpoint at `path`, and the report beside them.
  ///
  /// With `verifies` also reads all of it and lists the ``problems``; `progress` hears how far that is.
  ///
  /// - Throws: what keeps the checkpoint from being opened.
  public init(
    path: String, verifies: Bool = false, progress: (RunProgress) -> Void = { _ in }
  ) throws {
    let store = try OpenedModel.store(path)
    self.path = path
    modelType = store.config["model_type"]?.string
    tensors = try store.names.map { name in
      let description = try store.description(of: name)
      return Tensor(
        name: name, type: description.typeName, shape: description.shape,
        bytes: description.byteCount)
    }
    bytes = try store.byteCount()
    if verifies {
      problems = Self.problems(path, store) {
        progress(RunProgress(phase: "verifying", fraction: $0))
      }
    }
    do {
      layers = try Self.layers(store)
      cache = try (store as? Checkpoint)?.cacheScheme().map { "\($0)" }
    } catch {
      // Verification has named the reason and goes on to the end.
      guard problems?.isEmpty == false else { throw error }
      layers = []
    }
    let modules = Set(layers.map(\.name))
    let others = tensors.filter { !modules.contains(Self.module($0.name)) }
    parameters =
      others.reduce(0) { $0 + $1.shape.reduce(1, *) }
      + layers.reduce(0) { $0 + $1.shape.reduce(1, *) }
    bitsPerParameter = Double(bytes * 8) / Double(max(1, parameters))
    if SystemFile.isDirectory(path) { try readReport(path) }
  }

  private mutating func readReport(_ path: String) throws {
    if SystemFile.exists(path + "/recipe.yaml") {
      recipe = try TextFile.read(path + "/recipe.yaml", largest: Recipe.largestFile)
    }
    guard let data = FileManager.default.contents(atPath: path + "/report.json") else { return }
    // Another tool's report.json is no error: it is shown as if it were not there.
    report = try? RunRecord(json: data)
  }

  /// For people.
  public var text: String {
    var lines = TextTable.lines(
      ["tensor", "type", "shape", "bytes"],
      tensors.map { tensor in
        [
          tensor.name, tensor.type, tensor.shape.map(String.init).joined(separator: " x "),
          ByteSize.text(tensor.bytes),
        ]
      }, rightAligned: [3])
    lines.append("")
    if !layers.isEmpty {
      lines += TextTable.lines(
        ["quantized layer", "scheme", "bits/weight"],
        layers.map { [$0.name, $0.scheme, ByteSize.fixed($0.bitsPerWeight, 2)] },
        rightAligned: [2])
      lines.append("")
    }
    lines.append("model       \(modelType ?? "of unknown type")")
    lines.append(
      "size        \(ByteSize.text(bytes)), \(parameters) parameters, "
        + "\(ByteSize.fixed(bitsPerParameter, 2)) bits each")
    if let cache { lines.append("cache       keys and values \(cache)") }
    if let report {
      lines.append("made from   \(report.model) by \(report.recipe), seed \(report.seed)")
      lines.append("halftone    \(report.versions.halftone), \(report.versions.instructionSet)")
      lines.append("")
      lines.append(MarkdownReport.render(report))
    } else if let recipe {
      lines += ["", recipe]
    }
    lines += problemLines
    return lines.joined(separator: "\n") + "\n"
  }
}
