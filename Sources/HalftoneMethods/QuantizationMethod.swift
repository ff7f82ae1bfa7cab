public import HalftoneLayers
public import HalftoneSchemes
public import HalftoneTensor

/// A published way of choosing codes, with its hyperparameters as stored properties.
public protocol QuantizationMethod: RecipeStep {
  /// How many blocks the method holds at once; nil for the whole network.
  var blocksAtOnce: Int? { get }
  /// What it trains through beside the blocks it holds.
  var reach: TrainingReach { get }
  /// Chooses the codes of all layers of one block that have a scheme.
  ///
  /// Blocks are solved in order. A method that looks further than one block leaves what it found out
  /// about later ones in ``BlockSolution/carried``.
  ///
  /// - Throws: what `problem.report` throws, to stop; `SchemeError` if the method cannot serve a
  ///   scheme; `MethodError` if the numbers do not allow a solution.
  func solve(_ problem: BlockProblem) throws -> BlockSolution
}

extension QuantizationMethod {
  public var blocksAtOnce: Int? { 1 }
  public var reach: TrainingReach { .blocks }
}

/// How far gradients come from.
public enum TrainingReach: Sendable {
  /// The outputs of the blocks that are trained.
  case blocks
  /// The logits, where those blocks are the last.
  case head
  /// The logits, through all later blocks.
  case laterBlocks
}

/// A method failed on the numbers it was given: what, where, what to do.
public struct MethodError: Error, Equatable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// Activations between two blocks: `samples` sequences of `length` positions, one after another.
public struct ActivationStream: Sendable {
  /// [samples·length, hidden].
  public var activations: Tensor
  public let length: Int
  public var samples: Int { activations.rows / length }

  public init(activations: Tensor, length: Int) {
    precondition(length > 0 && activations.rows % length == 0)
    self.activations = activations
    self.length = length
  }

  /// The rows of the samples of `range`, sharing memory: [range.count·length, hidden].
  public func samples(_ range: Range<Int>) -> Tensor {
    activations.view(range.lowerBound * length..<range.upperBound * length)
  }
}

/// Everything a method may know about one block.
public struct BlockProblem {
  public var index: Int
  /// The block with its original weights, or as the recipe's transforms left it.
  public var block: any TransformerBlock
  /// The scheme of each layer to quantize, by layer name; others stay as they are.
  public var schemes: [String: LayerScheme]
  /// Inputs of the block in the original network (the FP stream).
  public var original: ActivationStream
  /// Inputs of the block in the network quantized so far (the Q stream).
  public var quantized: ActivationStream
  /// Outputs of the original block on the FP stream: what to reproduce.
  public var targets: ActivationStream
  /// The samples to learn from, and those kept aside to judge by.
  public var training: Range<Int>
  public var heldOut: Range<Int>
  /// The context of so many sequences of the streams' length.
  public var makeContext: (_ batch: Int) -> ForwardContext
  public var seed: UInt64
  /// To be called regularly; throws if the run is to stop.
  public var report: (BlockProgress) throws -> Void
  /// The network the block belongs to; nil where a method is tried on a block alone.
  public var network: Network?
  /// What the method left when it solved an earlier block.
  public var carried: [String: Tensor] = [:]
  /// How the iterations of a training multiply; held-out losses are measured in 32-bit floats.
  public var precision = ProductPrecision.float32

  public init(
    index: Int, block: any TransformerBlock, schemes: [String: LayerScheme],
    original: ActivationStream, quantized: ActivationStream, targets: ActivationStream,
    training: Range<Int>, heldOut: Range<Int>,
    makeContext: @escaping (_ batch: Int) -> ForwardContext, seed: UInt64,
    report: @escaping (BlockProgress) throws -> Void
  ) {
    self.index = index
    self.block = block
    self.schemes = schemes
    self.original = original
    self.quantized = quantized
    self.targets = targets
    self.training = training
    self.heldOut = heldOut
    self.makeContext = makeContext
    self.seed = seed
    self.report = report
  }
}

/// What surrounds a block.
public struct Network {
  public let model: any LanguageModel
  /// The tokens of all samples, training and held-out: [samples·length].
  public let ids: [Int]
  /// The schemes of the layers of a block, by layer name.
  public let schemes: (_ block: Int) -> [String: LayerScheme]
  /// Block `index` with its original weights as the recipe's transforms leave it, given the
  /// activations that enter it in the original network.
  public let prepared: (_ index: Int, _ original: ActivationStream) throws -> any TransformerBlock

  public init(
    model: any LanguageModel, ids: [Int],
    schemes: @escaping (_ block: Int) -> [String: LayerScheme],
    prepared: @escaping (_ index: Int, _ original: ActivationStream) throws -> any TransformerBlock
  ) {
    self.model = model
    self.ids = ids
    self.schemes = schemes
    self.prepared = prepared
  }
}

/// How far the work on a block has come.
public struct BlockProgress: Sendable {
  /// 0 to 1.
  public var fraction: Double
  /// The latest training loss, if the method has one.
  public var loss: Float?

  public init(fraction: Double, loss: Float? = nil) {
    self.fraction = fraction
    self.loss = loss
  }
}

/// What a method chose for one layer.
public struct LayerSolution: Sendable {
  public var weight: QuantizedTensor
  public var inputs: InputQuantizer?
  /// In the place of the layer's bias; nil leaves it as it is.
  public var bias: Tensor?
  /// Added to the weights.
  public var lowRank: LowRankFactors?
  /// What the report must say: a fallback taken, a channel that is always zero, ….
  public var warnings: [String]

  public init(
    weight: QuantizedTensor, inputs: InputQuantizer? = nil, bias: Tensor? = nil,
    lowRank: LowRankFactors? = nil, warnings: [String] = []
  ) {
    self.weight = weight
    self.inputs = inputs
    self.bias = bias
    self.lowRank = lowRank
    self.warnings = warnings
  }

  /// `linear` with what was chosen for it, its weights as floats.
  public func applied(to linear: Linear) -> Linear {
    var result = linear
    result.weight = .dense(weight.dequantized())
    result.inputs = inputs
    result.lowRank = lowRank
    if let bias { result.bias = bias }
    return result
  }
}

/// What a method chose for one block.
public struct BlockSolution: Sendable {
  public var layers: [String: LayerSolution]
  /// Changed tensors that are not weights of linear layers, by their names in the checkpoint.
  public var parameters: [String: Tensor]
  /// The training objective on the first batch, for methods that have one.
  public var lossFirst: Float?
  /// The moving average (0.95) of the losses of the last iterations.
  public var lossLast: Float?
  public var iterations: Int
  /// The training objective with hard codes on held-out samples, before and after.
  public var heldOutFirst: Float?
  public var heldOutLast: Float?
  /// Numbers the training moved to choose the codes of all layers; nil for methods that do not train.
  public var learnedParameters: Int?
  /// The share of rounding variables within 0.01 of a code when the training ended, where a method
  /// rounds what has not settled.
  public var settled: Float?
  /// Tensors for the blocks still to come, kept with the run; nil leaves those kept before.
  public var carried: [String: Tensor]?

  public init(
    layers: [String: LayerSolution], parameters: [String: Tensor] = [:], lossFirst: Float? = nil,
    lossLast: Float? = nil, iterations: Int = 0
  ) {
    self.layers = layers
    self.parameters = parameters
    self.lossFirst = lossFirst
    self.lossLast = lossLast
    self.iterations = iterations
  }
}
