public import HalftoneSchemes
public import HalftoneTensor

/// What a forward pass knows besides the activations.
public struct ForwardContext {
  /// Sequences side by side in the rows of the activations [batch·length, hidden].
  public var batch: Int
  /// Positions per sequence.
  public var length: Int
  /// Rotary angles of the positions, cosine and sine [length, headWidth/2].
  public var cosine: Tensor
  public var sine: Tensor
  /// Keys and values of earlier positions; nil when whole sequences run at once.
  public var cache: KeyValueCache?
  /// Called with the name and the input [tokens, in] of every linear layer as it runs.
  public var observe: ((_ layer: String, _ input: Tensor) -> Void)?
  /// Called with the keys, rotated, and the values [tokens, keyHeads·d] of every attention layer as it runs.
  public var observeCache: ((_ keys: Tensor, _ values: Tensor) -> Void)?
  /// What a layer that quantizes its input sees, from the input before and after; nil for the latter.
  public var mixInput: ((_ original: Tensor, _ quantized: Tensor) -> Tensor)?

  public init(
    batch: Int, length: Int, cosine: Tensor, sine: Tensor, cache: KeyValueCache? = nil,
    observe: ((_ layer: String, _ input: Tensor) -> Void)? = nil
  ) {
    self.batch = batch
    self.length = length
    self.cosine = cosine
    self.sine = sine
    self.cache = cache
    self.observe = observe
  }
}

/// One residual block: activations [batch·length, hidden] to the same shape.
public protocol TransformerBlock: Sendable {
  func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor
  /// Visits the linear layers in the order in which they run.
  mutating func forEachLinear(_ body: (inout Linear) throws -> Void) rethrows
  /// Visits the norms that ``scalingSites`` name, with their names in the checkpoint.
  mutating func forEachNorm(_ body: (_ name: String, _ norm: inout RMSNorm) throws -> Void) rethrows
  /// Visits the attention layers.
  mutating func forEachAttention(_ body: (inout Attention) throws -> Void) rethrows
  /// Where channels can be scaled without changing the block's function.
  var scalingSites: [ScalingSite] { get }
}

extension TransformerBlock {
  public mutating func forEachNorm(
    _ body: (_ name: String, _ norm: inout RMSNorm) throws -> Void
  ) rethrows {}

  public mutating func forEachAttention(_ body: (inout Attention) throws -> Void) rethrows {}

  public var scalingSites: [ScalingSite] { [] }

  /// The linear layers in the order in which they run.
  public var linears: [Linear] {
    var copy = self
    var result: [Linear] = []
    copy.forEachLinear { result.append($0) }
    return result
  }

  /// The same block with every weight as floats, for running many tokens through it.
  public func densified() -> Self {
    var copy = self
    copy.forEachLinear { $0.weight = .dense($0.weight.dense()) }
    return copy
  }
}

/// A linear module's name in the checkpoint and the shape of its weight, [rows, columns].
public struct LinearShape: Sendable, Equatable {
  public let name: String
  public let rows: Int
  public let columns: Int

  public init(name: String, rows: Int, columns: Int) {
    self.name = name
    self.rows = rows
    self.columns = columns
  }
}

/// What turns the last activations into logits.
public protocol OutputHead: Sendable {
  /// [tokens, hidden] to [tokens, vocabulary].
  func callAsFunction(_ hidden: Tensor) -> Tensor
}

/// The parts of a head whose weight has not been converted.
public struct StoredHead: Sendable {
  public let norm: RMSNorm
  /// [vocabulary, hidden].
  public let weight: LinearWeight

  public init(norm: RMSNorm, weight: LinearWeight) {
    self.norm = norm
    self.weight = weight
  }
}

/// A decoder-only language model whose blocks are read when asked for.
public protocol LanguageModel: Sendable {
  var blockCount: Int { get }
  var hiddenSize: Int { get }
  var vocabularySize: Int { get }
  /// The longest sequence the model was made for.
  var contextLength: Int { get }
  /// The ids at which a text ends, as the configuration says; may be empty.
  var endOfTextIds: [Int] { get }
  /// Block `index`, its weights read from the source now.
  func block(_ index: Int) throws -> any TransformerBlock
  /// The same with dense weights in the types they are stored in.
  func storedBlock(_ index: Int) throws -> any TransformerBlock
  /// The linear layers of block `index` in the order in which they run; reads no weights.
  func linearShapes(ofBlock index: Int) -> [LinearShape]
  /// The embedding table, [vocabulary, hidden].
  var embeddingShape: LinearShape { get }
  /// The head's linear layer; nil if the head is the embedding table.
  var headShape: LinearShape? { get }
  /// The first activations of `ids`: [ids.count, hidden].
  func embed(_ ids: [Int]) throws -> Tensor
  /// The final norm and head, their weights read now and kept as floats.
  func head() throws -> any OutputHead
  /// The final norm, and the weight [vocabulary, hidden] as it is stored.
  func storedHead() throws -> StoredHead
  /// The context of `batch` sequences at positions start..<start+length.
  func context(batch: Int, length: Int, start: Int) -> ForwardContext
}

extension LanguageModel {
  /// The linear layers of all blocks in the order in which they run, then the head's if it has its
  /// own; reads no weights.
  public var linearShapes: [LinearShape] {
    (0..<blockCount).flatMap(linearShapes(ofBlock:)) + [headShape].compactMap { $0 }
  }

  /// The logits after the final norm and head: [tokens, hidden] to [tokens, vocabulary].
  ///
  /// Reads the head anew; keep the result of ``head()`` to call it more than once.
  public func logits(_ hidden: Tensor) throws -> Tensor {
    let head = try head()
    return head(hidden)
  }
}

/// Where a model's weights come from.
public protocol WeightSource: Sendable {
  /// The names of all stored tensors.
  var names: [String] { get }
  /// The shape of a stored tensor, or nil if there is none of that name.
  ///
  /// For `X.weight` that of the matrix also where it is stored as `X.weight_packed`.
  func shape(of name: String) -> [Int]?
  /// The stored tensor in its stored type.
  ///
  /// - Throws: an error naming file and tensor if it is missing or malformed.
  func tensor(_ name: String) throws -> Tensor
  /// The weight of the linear module `module` (name without ".weight"), dense or quantized.
  func linearWeight(_ module: String) throws -> LinearWeight
  /// The input quantizer stored for `module`, if any.
  func inputQuantizer(_ module: String) throws -> InputQuantizer?
  /// The factors stored for `module` that are added to its weight, if any.
  func lowRank(_ module: String) throws -> LowRankFactors?
  /// Where the attention layer `module` rounds keys and values, if anywhere.
  func cacheGrids(_ module: String) throws -> CacheGrids?
}

extension WeightSource {
  public func lowRank(_ module: String) throws -> LowRankFactors? { nil }
  public func cacheGrids(_ module: String) throws -> CacheGrids? { nil }
}
