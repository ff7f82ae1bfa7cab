import HalftoneLayers
import HalftoneModels
import HalftoneSchemes
import HalftoneTensor

/// All weights of a model in the layout of the kernels.
struct PackedModel: Sendable {
  let blocks: [PackedBlock]
  let headNorm: RMSNorm
  let head: PackedLinear

  /// Reads and packs one block after another.
  ///
  /// - Throws: ``GenerationError`` for a block that the engine cannot run; what the model throws.
  init(_ model: any LanguageModel, _ options: EngineOptions) throws {
    blocks = try (0..<model.blockCount).map { index in
      guard let block = try model.storedBlock(index) as? LlamaBlock else {
        throw GenerationError("block \(index) is of a kind that the engine cannot run")
      }
      return PackedBlock(block, inputs: options.inputs)
    }
    let stored = try model.storedHead()
    headNorm = stored.norm
    head = PackedLinear(
      try Self.head(stored.weight, options.head), bias: nil, quantizer: nil, inputs: options.inputs)
    TensorMemory.releaseUnused()
  }

  private static func head(
    _ weight: LinearWeight, _ kept: EngineOptions.Head
  ) throws -> LinearWeight {
    guard kept == .int8, case .dense(let tensor) = weight else { return weight }
    let scheme = WeightScheme(
      format: try IntegerFormat(bits: 8),
      granularity: tensor.columns % 32 == 0 ? .group(32) : .channel, range: .minMax)
    let dense = tensor.float()
    tensor.evict()
    return .quantized(try scheme.grids(for: dense).quantize(dense, format: scheme.format))
  }

  /// The bytes of the weights that every token reads.
  var weightBytes: Int {
    head.byteCount + blocks.reduce(0) { $0 + $1.linears.reduce(0) { $0 + $1.byteCount } }
  }
}
