public import Foundation

extension RunRecord {
  /// The record as one JSON document, keys sorted.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .throw
    return try encoder.encode(self) + Data("\n".utf8)
  }

  /// Reads what ``json()`` wrote.
  public init(json: Data) throws {
    self = try JSONDecoder().decode(RunRecord.self, from: json)
  }

  /// The same record without what differs between two equal runs: times and memory.
  public var withoutMeasurements: RunRecord {
    var copy = self
    copy.seconds = 0
    copy.peakBytes = 0
    for i in copy.layers.indices { copy.layers[i].seconds = 0 }
    for i in copy.blocks.indices { copy.blocks[i].seconds = 0 }
    return copy
  }

  /// The warnings of the run and of its layers, with their names.
  public var allWarnings: [String] {
    warnings + layers.flatMap { layer in layer.warnings.map { "\(layer.name): \($0)" } }
  }

  /// The mean of the layers' errors, of those of plain rounding, and their ratio.
  public var meanErrors: (after: Double, rtn: Double) {
    let count = Double(max(1, layers.count))
    return (
      layers.reduce(0) { $0 + $1.errorAfter } / count,
      layers.reduce(0) { $0 + $1.errorRTN } / count
    )
  }
}
