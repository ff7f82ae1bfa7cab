public import HalftoneSchemes
public import HalftoneTensor

/// Adds to a layer that is quantized already what brings its output closer to the original one.
public protocol Compensator: RecipeStep {
  /// What it asks for of the layer's inputs.
  var inputsNeeded: InputKnowledge { get }
  /// What to add to one layer.
  ///
  /// - Throws: `MethodError` if the numbers do not allow it.
  func compensate(_ problem: CompensationProblem) throws -> Compensation
}

extension Compensator {
  public var learnsFromText: Bool { !inputsNeeded.isEmpty }
}

/// What a compensator can know of a layer's inputs.
public struct InputKnowledge: OptionSet, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// In the original network.
  public static let original = InputKnowledge(rawValue: 1)
  /// In the network quantized so far, the earlier layers of the block quantized and compensated.
  public static let quantized = InputKnowledge(rawValue: 2)
}

/// One quantized layer and what was asked for of its inputs.
public struct CompensationProblem {
  public let name: String
  /// What was quantized, after all transforms: [out, in].
  public let weights: Tensor
  /// The layer of the original network.
  public let originalWeights: Tensor
  public let originalBias: Tensor?
  /// The codes, and what earlier compensators added.
  public let solution: LayerSolution
  /// The layer's bias as it stands: [out], nil for none.
  public let bias: Tensor?
  public let originalInputs: InputStatistics?
  public let quantizedInputs: InputStatistics?

  public init(
    name: String, weights: Tensor, originalWeights: Tensor, originalBias: Tensor? = nil,
    solution: LayerSolution, bias: Tensor? = nil, originalInputs: InputStatistics? = nil,
    quantizedInputs: InputStatistics? = nil
  ) {
    self.name = name
    self.weights = weights
    self.originalWeights = originalWeights
    self.originalBias = originalBias
    self.solution = solution
    self.bias = bias
    self.originalInputs = originalInputs
    self.quantizedInputs = quantizedInputs
  }

  /// Ŵ, with outliers and low-rank factors: [out, in].
  public var quantizedWeights: Tensor {
    let codes = solution.weight.dequantized()
    return solution.lowRank.map { codes + $0.product() } ?? codes
  }
}

/// What a compensator adds to a layer.
public struct Compensation: Sendable {
  /// Added to the layer's bias: [out].
  public var bias: Tensor?
  /// Added to its weights.
  public var lowRank: LowRankFactors?
  public var warnings: [String]

  public init(bias: Tensor? = nil, lowRank: LowRankFactors? = nil, warnings: [String] = []) {
    self.bias = bias
    self.lowRank = lowRank
    self.warnings = warnings
  }
}
