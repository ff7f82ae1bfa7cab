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
    return .quantized(try rounded(tensor, scheme))
  }

  /// Some rows after others, so that the floats of the whole weight are never in memory.
  private static func rounded(_ weight: Tensor, _ scheme: WeightScheme) throws -> QuantizedTensor {
    var scales: [Float] = []
    let codes = try Tensor(shape: weight.shape, elementType: .int8) { out in
      let step = 1024
      for start in stride(from: 0, to: weight.rows, by: step) {
        let rows = weight.view(start..<min(start + step, weight.rows)).float()
        let part = try scheme.grids(for: rows).quantize(rows, format: scheme.format)
        scales += part.levels[0].values
        part.codes.withBytes { bytes in
          UnsafeMutableRawBufferPointer(rebasing: out[(start * weight.columns)...])
            .copyMemory(from: bytes)
        }
      }
    }
    weight.evict()
    return try QuantizedTensor(
      shape: weight.shape, format: scheme.format, codes: codes,
      levels: [Tensor(scales, shape: [weight.rows, scales.count / weight.rows])])
  }

  /// The bytes of the weights that every token reads.
  var weightBytes: Int {
    head.byteCount + blocks.reduce(0) { $0 + $1.linears.reduce(0) { $0 + $1.byteCount } }
  }
}
