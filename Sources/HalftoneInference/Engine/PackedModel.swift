import HalftoneLayers
import HalftoneModels
import HalftoneTensor

/// All weights of a model in the layout of the kernels.
struct PackedModel: Sendable {
  let blocks: [PackedBlock]
  let headNorm: RMSNorm
  let head: PackedLinear

  /// Reads and packs one block after another.
  ///
  /// - Throws: ``GenerationError`` for a block that the engine cannot run; what the model throws.
  init(_ model: any LanguageModel, inputs: EngineOptions.Inputs) throws {
    blocks = try (0..<model.blockCount).map { index in
      guard let block = try model.storedBlock(index) as? LlamaBlock else {
        throw GenerationError("block \(index) is of a kind that the engine cannot run")
      }
      return PackedBlock(block, inputs: inputs)
    }
    let stored = try model.storedHead()
    headNorm = stored.norm
    head = PackedLinear(stored.weight, bias: nil, quantizer: nil, inputs: inputs)
    TensorMemory.releaseUnused()
  }

  /// The bytes of the weights that every token reads.
  var weightBytes: Int {
    head.byteCount + blocks.reduce(0) { $0 + $1.linears.reduce(0) { $0 + $1.byteCount } }
  }
}
