/// How the weights of a layer are quantized.
public struct WeightScheme: Sendable, Equatable {
  public var format: any NumberFormat
  public var granularity: Granularity
  public var symmetric: Bool
  public var range: RangeRule
  public var scales: ScaleFormat

  public init(
    format: any NumberFormat, granularity: Granularity = .channel, symmetric: Bool = true,
    range: RangeRule = .minMSE, scales: ScaleFormat = .float
  ) {
    self.format = format
    self.granularity = granularity
    self.symmetric = symmetric
    self.range = range
    self.scales = scales
  }

  public static func == (a: WeightScheme, b: WeightScheme) -> Bool {
    a.format.name == b.format.name && a.granularity == b.granularity
      && a.symmetric == b.symmetric && a.range == b.range && a.scales == b.scales
  }

  /// Whether a learned factor may change the scales.
  public var scalesAreFree: Bool { scales == .float }

  /// Whether what a weight becomes depends on more than itself and the range of its own group.
  ///
  /// Outliers and their victims are rounded together, and scales in two levels are found for a row or for
  /// the whole matrix.
  public var roundsJointly: Bool { format is OutlierVictimFormat || scales.isJoint }

  /// The format where it is one of integers.
  public var integers: IntegerFormat? { format as? IntegerFormat }
}

/// How the inputs of a layer are quantized when it runs.
public struct InputScheme: Sendable, Equatable {
  public var format: any NumberFormat
  /// `.token` with `dynamic`, `.group` with it where ``scales`` are no floats, else `.tensor`.
  public var granularity: Granularity
  public var symmetric: Bool
  /// Whether the range is taken from the values at hand, instead of fixed by calibration.
  public var dynamic: Bool
  /// α: elements of this magnitude and more stay as they are, and a token's range is that of the others.
  ///
  /// LLM.int8()'s outliers; only of dynamic schemes. The paper keeps whole columns of a batch that hold one,
  /// so that what a token gives depends on the others; here each token's own elements decide.
  public var outlierThreshold: Float?
  /// Of groups: powers of two, or 8-bit floats beside one that is fixed for the layer (NVFP4).
  public var scales: ScaleFormat

  public init(
    format: any NumberFormat, granularity: Granularity, symmetric: Bool, dynamic: Bool,
    outlierThreshold: Float? = nil, scales: ScaleFormat = .float
  ) {
    self.format = format
    self.granularity = granularity
    self.symmetric = symmetric
    self.dynamic = dynamic
    self.outlierThreshold = outlierThreshold
    self.scales = scales
  }

  public static func == (a: InputScheme, b: InputScheme) -> Bool {
    a.format.name == b.format.name && a.granularity == b.granularity
      && a.symmetric == b.symmetric && a.dynamic == b.dynamic
      && a.outlierThreshold == b.outlierThreshold && a.scales == b.scales
  }

  /// The grids among which a range is chosen.
  public var family: GridFamily { GridFamily(format, symmetric: symmetric) }
}

/// What happens to one linear layer; nil leaves that part as it is.
public struct LayerScheme: Sendable, Equatable {
  public var weights: WeightScheme?
  public var inputs: InputScheme?

  public init(weights: WeightScheme?, inputs: InputScheme? = nil) {
    self.weights = weights
    self.inputs = inputs
  }
}

extension WeightScheme: CustomStringConvertible {
  /// As in reports: "int4 group 32 symmetric min-mse".
  public var description: String { "\(grid) \(range.rawValue)" }

  /// Without the range rule, which checkpoints do not store: "int4 group 32 symmetric".
  public var grid: String {
    "\(format.name) \(granularity) \(symmetric ? "symmetric" : "asymmetric")"
      + (scales == .float ? "" : " \(scales.rawValue) scales")
  }
}

extension InputScheme: CustomStringConvertible {
  public var description: String {
    "\(format.name) \(granularity) \(symmetric ? "symmetric" : "asymmetric") "
      + (dynamic ? "dynamic" : "static")
      + (scales == .float ? "" : " \(scales.rawValue) scales")
      + (outlierThreshold.map { " outliers from \($0)" } ?? "")
  }
}

extension Granularity: CustomStringConvertible {
  public var description: String {
    switch self {
    case .tensor: "tensor"
    case .channel: "channel"
    case .group(let size): "group \(size)"
    case .token: "token"
    case .block(let rows, let columns): "block \(rows)x\(columns)"
    }
  }
}
