/// Values of the same quantity from runs that differ in their seed alone.
public struct Spread: Codable, Equatable, Sendable {
  public var mean: Double
  /// s/√n with s the sample standard deviation; nil for one value.
  public var standardError: Double?
  public var low: Double
  public var high: Double

  /// Nil without values.
  public init?(_ values: [Double]) {
    guard let low = values.min(), let high = values.max() else { return nil }
    let count = Double(values.count)
    let mean = values.reduce(0, +) / count
    self.mean = mean
    self.low = low
    self.high = high
    guard values.count > 1 else { return }
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    standardError = (squares / (count - 1) / count).squareRoot()
  }

  enum CodingKeys: String, CodingKey {
    case mean, low, high
    case standardError = "standard_error"
  }

  /// All keys always, so that readers find null where one seed was run.
  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(mean, forKey: .mean)
    try fields.encode(standardError, forKey: .standardError)
    try fields.encode(low, forKey: .low)
    try fields.encode(high, forKey: .high)
  }
}
