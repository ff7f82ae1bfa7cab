/// What one quantization run did and cost: the content of `report.json`.
///
/// `seconds` and `peakBytes` are measured; everything else is the same for runs with the same
/// model, recipe, text and seed.
public struct RunRecord: Codable, Equatable, Sendable {
  public var model: String
  /// The recipe's name or file.
  public var recipe: String
  public var seed: UInt64
  public var versions: Versions
  /// Of the quantized layers, with their scales and zero points.
  public var bitsPerWeight: Double
  /// All tensors of the checkpoint before and after.
  public var bytesBefore: Int
  public var bytesAfter: Int
  public var seconds: Double
  /// The most memory the process held at once.
  public var peakBytes: Int
  public var calibration: Calibration?
  public var evaluation: Evaluation?
  /// What concerns the run as a whole.
  public var warnings: [String]
  public var layers: [LayerRecord]
  public var blocks: [BlockRecord]

  /// The programs and machine features that made the numbers.
  public struct Versions: Codable, Equatable, Sendable {
    public var halftone: String
    /// Of the kernels in use: "avx512".
    public var instructionSet: String
    public var blas: String

    public init(halftone: String, instructionSet: String, blas: String) {
      self.halftone = halftone
      self.instructionSet = instructionSet
      self.blas = blas
    }

    enum CodingKeys: String, CodingKey {
      case halftone, blas
      case instructionSet = "instruction_set"
    }
  }

  /// The text the run learned from and was judged by.
  public struct Calibration: Codable, Equatable, Sendable {
    public var files: [String]
    public var samples: Int
    public var length: Int
    public var heldOut: Int
    /// Whether the held-out samples were not among those learned from.
    public var heldOutIsSeparate: Bool

    public init(
      files: [String], samples: Int, length: Int, heldOut: Int, heldOutIsSeparate: Bool
    ) {
      self.files = files
      self.samples = samples
      self.length = length
      self.heldOut = heldOut
      self.heldOutIsSeparate = heldOutIsSeparate
    }

    enum CodingKeys: String, CodingKey {
      case files, samples, length
      case heldOut = "held_out"
      case heldOutIsSeparate = "held_out_is_separate"
    }
  }

  /// Perplexity on a text before and after.
  public struct Evaluation: Codable, Equatable, Sendable {
    public var text: String
    public var context: Int
    public var tokens: Int
    public var perplexityBefore: Double
    public var perplexityAfter: Double

    public init(
      text: String, context: Int, tokens: Int, perplexityBefore: Double, perplexityAfter: Double
    ) {
      self.text = text
      self.context = context
      self.tokens = tokens
      self.perplexityBefore = perplexityBefore
      self.perplexityAfter = perplexityAfter
    }

    enum CodingKeys: String, CodingKey {
      case text, context, tokens
      case perplexityBefore = "perplexity_before"
      case perplexityAfter = "perplexity_after"
    }
  }

  public init(
    model: String, recipe: String, seed: UInt64, versions: Versions, bitsPerWeight: Double,
    bytesBefore: Int, bytesAfter: Int, seconds: Double, peakBytes: Int,
    calibration: Calibration? = nil, evaluation: Evaluation? = nil, warnings: [String] = [],
    layers: [LayerRecord], blocks: [BlockRecord]
  ) {
    self.model = model
    self.recipe = recipe
    self.seed = seed
    self.versions = versions
    self.bitsPerWeight = bitsPerWeight
    self.bytesBefore = bytesBefore
    self.bytesAfter = bytesAfter
    self.seconds = seconds
    self.peakBytes = peakBytes
    self.calibration = calibration
    self.evaluation = evaluation
    self.warnings = warnings
    self.layers = layers
    self.blocks = blocks
  }

  enum CodingKeys: String, CodingKey {
    case model, recipe, seed, versions, seconds, calibration, evaluation, warnings, layers, blocks
    case bitsPerWeight = "bits_per_weight"
    case bytesBefore = "bytes_before"
    case bytesAfter = "bytes_after"
    case peakBytes = "peak_bytes"
  }
}

/// What became of one linear layer.
///
/// Errors are ‖(W−Ŵ)X‖²/‖WX‖² on held-out rows X of the layer's input, or ‖W−Ŵ‖²/‖W‖² in a run
/// without text.
public struct LayerRecord: Codable, Equatable, Sendable {
  public var name: String
  public var scheme: String
  public var method: String
  /// Of rounding to nearest on the plain range of the weights.
  public var errorBefore: Double
  /// Of what was written.
  public var errorAfter: Double
  /// Of rounding to nearest on the range the scheme asks for.
  public var errorRTN: Double
  public var seconds: Double
  public var warnings: [String]
  /// What the run chose the layer's format from; null where the recipe states one.
  public var choices: [Choice]?

  /// A format, and the relative error of rounding to nearest with it: of the outputs on the calibration text,
  /// of the weights without text.
  public struct Choice: Codable, Equatable, Sendable {
    public var format: String
    public var error: Double

    public init(format: String, error: Double) {
      self.format = format
      self.error = error
    }
  }

  public init(
    name: String, scheme: String, method: String, errorBefore: Double, errorAfter: Double,
    errorRTN: Double, seconds: Double, warnings: [String] = []
  ) {
    self.name = name
    self.scheme = scheme
    self.method = method
    self.errorBefore = errorBefore
    self.errorAfter = errorAfter
    self.errorRTN = errorRTN
    self.seconds = seconds
    self.warnings = warnings
  }

  enum CodingKeys: String, CodingKey {
    case name, scheme, method, seconds, warnings, choices
    case errorBefore = "error_before"
    case errorAfter = "error_after"
    case errorRTN = "error_rtn"
  }
}

/// How one block's training went; losses are null for methods that do not train.
public struct BlockRecord: Codable, Equatable, Sendable {
  public var index: Int
  public var lossFirst: Double?
  public var lossLast: Double?
  public var iterations: Int
  public var seconds: Double
  /// The same objective with hard codes on held-out samples, before and after.
  public var heldOutFirst: Double?
  public var heldOutLast: Double?
  /// Numbers that were learned to choose the codes of the block.
  public var learnedParameters: Int?
  /// The share of rounding variables that had settled on a code when the training ended.
  public var settled: Double?
  /// ‖ŷ − y‖²/‖y‖² of the block's outputs on held-out samples, ŷ of the network quantized so far and y
  /// of the original one; null where no text was run.
  public var outputError: Double?

  public init(
    index: Int, lossFirst: Double? = nil, lossLast: Double? = nil, iterations: Int,
    seconds: Double, heldOutFirst: Double? = nil, heldOutLast: Double? = nil,
    learnedParameters: Int? = nil, settled: Double? = nil, outputError: Double? = nil
  ) {
    self.index = index
    self.lossFirst = lossFirst
    self.lossLast = lossLast
    self.iterations = iterations
    self.seconds = seconds
    self.heldOutFirst = heldOutFirst
    self.heldOutLast = heldOutLast
    self.learnedParameters = learnedParameters
    self.settled = settled
    self.outputError = outputError
  }

  enum CodingKeys: String, CodingKey {
    case index, iterations, seconds, settled
    case lossFirst = "loss_first"
    case lossLast = "loss_last"
    case heldOutFirst = "held_out_first"
    case heldOutLast = "held_out_last"
    case learnedParameters = "learned_parameters"
    case outputError = "output_error"
  }
}

extension BlockRecord {
  /// All keys always, so that readers find null where there is no loss.
  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(index, forKey: .index)
    try fields.encode(lossFirst, forKey: .lossFirst)
    try fields.encode(lossLast, forKey: .lossLast)
    try fields.encode(iterations, forKey: .iterations)
    try fields.encode(seconds, forKey: .seconds)
    try fields.encode(heldOutFirst, forKey: .heldOutFirst)
    try fields.encode(heldOutLast, forKey: .heldOutLast)
    try fields.encode(learnedParameters, forKey: .learnedParameters)
    try fields.encode(settled, forKey: .settled)
    try fields.encode(outputError, forKey: .outputError)
  }
}
