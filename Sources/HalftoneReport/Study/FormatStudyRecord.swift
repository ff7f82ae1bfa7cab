import Foundation

/// What `halftone study formats` found.
public struct FormatStudyRecord: Codable, Sendable {
  public var model: String
  /// Texts; empty where only tensors were compared.
  public var calibration: [String]
  /// Terms of the dot product that accumulators are sized for: the longest row of the model.
  public var dotProductLength: Int
  public var range: String
  /// How many layers were left out for a format, whose groups do not divide their rows.
  public var skippedLayers: [String: Int]
  public var lines: [Line]

  /// One format with one granularity.
  public struct Line: Codable, Sendable {
    public var format: String
    public var granularity: String
    /// Scales included.
    public var bitsPerWeight: Double
    /// 10·log₁₀(Σw²/Σ(w − ŵ)²) in dB, the mean over layers.
    public var signalToNoise: Double
    public var worstSignalToNoise: Double
    /// Σ‖(W − Ŵ)x‖²/Σ‖Wx‖², the geometric mean over layers; nil without texts.
    public var outputError: Double?
    /// Of the layers' inputs, rounded per token; nil without texts and for scales other than floats.
    public var inputSignalToNoise: Double?
    /// For weights and inputs of this format; nil where that is neither of integers nor of floats.
    public var accumulatorBits: Int?
    public var gates: Double?
    public var lookupTables: Double?
    public var tensors: [Tensor]

    public init(
      format: String, granularity: String, bitsPerWeight: Double, signalToNoise: Double,
      worstSignalToNoise: Double, outputError: Double?, inputSignalToNoise: Double?,
      accumulatorBits: Int?, gates: Double?, lookupTables: Double?, tensors: [Tensor]
    ) {
      self.format = format
      self.granularity = granularity
      self.bitsPerWeight = bitsPerWeight
      self.signalToNoise = signalToNoise
      self.worstSignalToNoise = worstSignalToNoise
      self.outputError = outputError
      self.inputSignalToNoise = inputSignalToNoise
      self.accumulatorBits = accumulatorBits
      self.gates = gates
      self.lookupTables = lookupTables
      self.tensors = tensors
    }

    /// What a front compares: the output error, else the tensors' own.
    public var error: Double { outputError ?? pow(10, -signalToNoise / 10) }
    public var label: String { "\(format) \(granularity)" }

    enum CodingKeys: String, CodingKey {
      case format, granularity, gates, tensors
      case bitsPerWeight = "bits_per_weight"
      case signalToNoise = "sqnr_db"
      case worstSignalToNoise = "sqnr_db_worst"
      case outputError = "output_error"
      case inputSignalToNoise = "input_sqnr_db"
      case accumulatorBits = "accumulator_bits"
      case lookupTables = "lut_proxy"
    }
  }

  /// One layer in one format.
  public struct Tensor: Codable, Sendable {
    public var name: String
    public var signalToNoise: Double
    public var outputError: Double?

    public init(name: String, signalToNoise: Double, outputError: Double?) {
      self.name = name
      self.signalToNoise = signalToNoise
      self.outputError = outputError
    }

    enum CodingKeys: String, CodingKey {
      case name
      case signalToNoise = "sqnr_db"
      case outputError = "output_error"
    }
  }

  public init(
    model: String, calibration: [String], dotProductLength: Int, range: String,
    skippedLayers: [String: Int], lines: [Line]
  ) {
    self.model = model
    self.calibration = calibration
    self.dotProductLength = dotProductLength
    self.range = range
    self.skippedLayers = skippedLayers
    self.lines = lines
  }

  enum CodingKeys: String, CodingKey {
    case model, calibration, range, lines
    case dotProductLength = "dot_product_length"
    case skippedLayers = "skipped_layers"
  }

  /// The lines that none beats in both error and bits per weight.
  public var bitsFront: [Int] {
    ParetoFront.indices(of: lines.map { ($0.bitsPerWeight, $0.error) })
  }

  /// The lines that none beats in both error and gates.
  public var gatesFront: [Int] {
    ParetoFront.indices(of: lines.map { ($0.gates ?? .infinity, $0.error) })
  }
}
