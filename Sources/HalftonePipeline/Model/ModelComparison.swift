import HalftoneLayers
import HalftoneReport
import HalftoneTensor

/// Two models side by side: their sizes and how far the weights of their layers are apart.
public struct ModelComparison: Encodable, Sendable {
  public var first: Side
  public var second: Side
  public var layers: [Layer]

  public struct Side: Encodable, Sendable {
    public var path: String
    public var bytes: Int
    public var bitsPerParameter: Double
    public var recipe: String?
    /// Mean of the layers' errors in its report.
    public var meanError: Double?

    enum CodingKeys: String, CodingKey {
      case path, bytes, recipe
      case bitsPerParameter = "bits_per_parameter"
      case meanError = "mean_error"
    }
  }

  public struct Layer: Encodable, Sendable {
    public var name: String
    /// ‖A−B‖²/‖A‖² of the weights.
    public var distance: Double
    /// From the reports.
    public var errorFirst: Double?
    public var errorSecond: Double?

    enum CodingKeys: String, CodingKey {
      case name, distance
      case errorFirst = "error_first"
      case errorSecond = "error_second"
    }
  }

  /// - Throws: ``PipelineError`` if the models do not have the same layers.
  public init(_ first: String, _ second: String) throws {
    let (a, b) = (try OpenedModel(path: first), try OpenedModel(path: second))
    let (one, other) = (try Inspection(path: first), try Inspection(path: second))
    self.first = Self.side(one)
    self.second = Self.side(other)
    layers = []
    guard a.model.blockCount == b.model.blockCount else {
      throw PipelineError(
        .badInput, "has \(b.model.blockCount) blocks and \(first) has \(a.model.blockCount)",
        at: second)
    }
    for block in 0..<a.model.blockCount {
      let pairs = zip(try a.model.block(block).linears, try b.model.block(block).linears)
      for (x, y) in pairs {
        guard x.name == y.name, x.weight.shape == y.weight.shape else {
          throw PipelineError(.badInput, "\(y.name) does not fit \(x.name) of \(first)", at: second)
        }
        let weight = x.effectiveWeight()
        let reference = LayerErrors.sumOfSquares(weight)
        let difference = LayerErrors.sumOfSquares(weight - y.effectiveWeight())
        layers.append(
          Layer(
            name: x.name,
            distance: difference == 0 ? 0 : reference > 0 ? difference / reference : 1,
            errorFirst: Self.error(x.name, one), errorSecond: Self.error(x.name, other)))
      }
    }
  }

  private static func side(_ inspection: Inspection) -> Side {
    Side(
      path: inspection.path, bytes: inspection.bytes,
      bitsPerParameter: inspection.bitsPerParameter, recipe: inspection.report?.recipe,
      meanError: inspection.report?.meanErrors.after)
  }

  private static func error(_ name: String, _ inspection: Inspection) -> Double? {
    inspection.report?.layers.first { $0.name == name }?.errorAfter
  }

  /// For people.
  public var text: String {
    func figure(_ value: Double?) -> String { value.map { ByteSize.fixed($0, 6) } ?? "-" }
    var lines = TextTable.lines(
      ["layer", "distance", "error A", "error B"],
      layers.map { [$0.name, figure($0.distance), figure($0.errorFirst), figure($0.errorSecond)] },
      rightAligned: [1, 2, 3])
    lines.append("")
    for (name, side) in [("A", first), ("B", second)] {
      let recipe = side.recipe.map { ", \($0)" } ?? ""
      lines.append(
        "\(name)           \(side.path): \(ByteSize.text(side.bytes)), "
          + "\(ByteSize.fixed(side.bitsPerParameter, 2)) bits a parameter\(recipe)")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
