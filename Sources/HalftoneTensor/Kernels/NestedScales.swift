/// The scales of a matrix as files hold them after they were quantized themselves.
///
/// Scale i, counted row by row, is `mean` + `units`[i / 256] · what `codes`[i] stands for.
public struct NestedScales: Sendable, Equatable {
  /// Scales that share a unit.
  public static let run = 256

  public let codes: [UInt8]
  /// One for each run of 256 scales, the last of which may be shorter; 0 where all are the mean.
  public let units: [Float]
  public let mean: Float

  public init(codes: [UInt8], units: [Float], mean: Float) {
    precondition(
      !codes.isEmpty && units.count == (codes.count + Self.run - 1) / Self.run,
      "\(units.count) units of \(codes.count) scales")
    self.codes = codes
    self.units = units
    self.mean = mean
  }
}
