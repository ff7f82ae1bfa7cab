public import HalftoneSchemes
public import HalftoneTensor

/// The weights of one model, by their Hugging Face names, wherever they are stored.
public protocol WeightStore: Sendable {
  /// The file or directory, as given.
  var path: String { get }
  /// The names of all tensors, sorted.
  var names: [String] { get }
  /// The model's `config.json`, or what stands for it.
  var config: JSONValue { get }
  /// Paths of the files that belong to the model besides weights and `config.json`.
  var sideFiles: [String] { get }

  func contains(_ name: String) -> Bool

  /// How the tensor `name` is stored.
  ///
  /// - Throws: `CheckpointError.Code.missing` if there is no such tensor.
  func description(of name: String) throws(CheckpointError) -> TensorDescription

  /// The tensor `name`, where possible without copying it.
  func tensor(_ name: String) throws(CheckpointError) -> Tensor

  /// The bytes of the tensor `name`, at any alignment.
  func withBytes<R>(of name: String, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R

  /// Gives back the memory that reading the tensor `name` took, if it was the file's.
  ///
  /// The tensor stays valid; its bytes are read from the file again when needed.
  func evict(_ name: String)

  /// The weight of the linear layer `module`, dense or quantized.
  func linearWeight(_ module: String) throws -> StoredWeight

  /// The factors that are added to the weight of the linear layer `module`; nil for none.
  func lowRank(_ module: String) throws -> LowRankFactors?

  /// How the inputs of the linear layer `module` are quantized when it runs; nil where not at all.
  func storedInputScheme(_ module: String) throws -> StoredInputs?

  /// How the attention layer `module` rounds keys and values before it keeps them; nil where not at all.
  func storedCache(_ module: String) throws -> StoredCache?

  /// Where the configuration, the index and the tensors contradict each other; none by default.
  func disagreements() -> [CheckpointProblem]
}

/// The weight of a linear layer as a checkpoint holds it: [out, in].
public enum StoredWeight: Sendable {
  case dense(Tensor)
  case quantized(QuantizedTensor)
  case blocks(BlockMatrix)
}

/// How the inputs of a stored layer are quantized when it runs.
public enum StoredInputs: Sendable, Equatable {
  /// The range is that of the values at hand.
  case dynamic(InputScheme)
  /// value = (code − zeroPoint) · scale, fixed by calibration.
  case fixed(InputScheme, scale: Float, zeroPoint: Float)
  /// In groups, whose scales of E4M3 are those of the values at hand times `global`.
  case groups(InputScheme, global: Float)

  public var scheme: InputScheme {
    switch self {
    case .dynamic(let scheme), .fixed(let scheme, _, _), .groups(let scheme, _): scheme
    }
  }
}

extension WeightStore {
  public func shape(of name: String) throws(CheckpointError) -> [Int] {
    try description(of: name).shape
  }

  public func storedType(of name: String) throws(CheckpointError) -> StoredType {
    try description(of: name).type
  }

  public func evict(_ name: String) {}

  public func linearWeight(_ module: String) throws -> StoredWeight {
    .dense(try tensor(module + ".weight"))
  }

  public func lowRank(_ module: String) throws -> LowRankFactors? { nil }

  public func storedInputScheme(_ module: String) throws -> StoredInputs? { nil }

  public func storedCache(_ module: String) throws -> StoredCache? { nil }

  public func disagreements() -> [CheckpointProblem] { [] }

  /// The bytes of all tensors.
  public func byteCount() throws(CheckpointError) -> Int {
    var total = 0
    for name in names { total += try description(of: name).byteCount }
    return total
  }
}
