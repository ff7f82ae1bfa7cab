import Foundation
import HalftoneCheckpoints
public import HalftoneReport
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
  /// As written by Halftone.
  public var recipe: String?
  public var report: RunRecord?

  public struct Tensor: Encodable, Sendable {
    public var name: String
    public var type: String
    public var shape: [Int]
    public var bytes: Int
  }

  public struct Layer: Encodable, Sendable {
    public var name: String
    public var shape: [Int]
    public var scheme: String
    public var bytes: Int
    public var bitsPerWeight: Double

    enum CodingKeys: String, CodingKey {
      case name, shape, scheme, bytes
      case bitsPerWeight = "bits_per_weight"
    }
  }

  enum CodingKeys: String, CodingKey {
    case path, parameters, bytes, tensors, layers, recipe, report
    case modelType = "model_type"
    case bitsPerParameter = "bits_per_parameter"
  }

  /// Reads the headers of the checkpoint at `path`, and the report beside them.
  public init(path: String) throws {
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
    layers = try Self.layers(store)
    let modules = layers.map { $0.name + "." }
    let others = tensors.filter { tensor in !modules.contains { tensor.name.hasPrefix($0) } }
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

  private static func layers(_ store: any WeightStore) throws -> [Layer] {
    guard let checkpoint = store as? Checkpoint else { return [] }
    return try checkpoint.quantizedModules().compactMap { module in
      guard let scheme = try checkpoint.storedScheme(module),
        let shape = try checkpoint.quantizedShape(module)
      else { return nil }
      let prefix = module + "."
      var additions = try additions(of: module, store)
      if try checkpoint.hasReorderedGroups(module) {
        additions += ", groups in activation order"
      }
      let bytes = try store.names.filter { $0.hasPrefix(prefix) }
        .reduce(0) { try $0 + store.description(of: $1).byteCount }
      let count = shape.reduce(1, *)
      return Layer(
        name: module, shape: shape, scheme: describe(scheme) + additions, bytes: bytes,
        bitsPerWeight: Double(bytes * 8) / Double(max(1, count)))
    }
  }

  /// ", low rank 8, 120 outliers".
  private static func additions(of module: String, _ store: any WeightStore) throws -> String {
    func length(_ suffix: String) throws -> Int? {
      let name = "\(module).\(suffix)"
      return store.contains(name) ? try store.shape(of: name).first : nil
    }
    let rank = try length("low_rank_right").map { ", low rank \($0)" } ?? ""
    let outliers = try length("outlier_positions").map { ", \($0) outliers" } ?? ""
    return rank + outliers
  }

  /// Without the range rule, which no checkpoint stores.
  private static func describe(_ scheme: LayerScheme) -> String {
    let parts = [scheme.weights?.grid, scheme.inputs.map { "inputs \($0)" }]
    return parts.compactMap { $0 }.joined(separator: ", ")
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
    if let report {
      lines.append("made from   \(report.model) by \(report.recipe), seed \(report.seed)")
      lines.append("halftone    \(report.versions.halftone), \(report.versions.instructionSet)")
      lines.append("")
      lines.append(MarkdownReport.render(report))
    } else if let recipe {
      lines += ["", recipe]
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
