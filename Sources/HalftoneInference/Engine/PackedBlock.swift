import HalftoneLayers
import HalftoneModels
import HalftoneTensor

/// A transformer block in the layout of the kernels.
final class PackedBlock: Sendable {
  let attentionNorm: RMSNorm
  let queries: PackedLinear
  let keys: PackedLinear
  let values: PackedLinear
  let queryNorm: RMSNorm?
  let keyNorm: RMSNorm?
  let output: PackedLinear
  let feedForwardNorm: RMSNorm
  let gate: PackedLinear
  let up: PackedLinear
  let down: PackedLinear
  let heads: Int
  let keyHeads: Int
  /// How many positions back a query sees, itself included; 0 for all.
  let window: Int
  /// Where keys and values are rounded before they are stored.
  let cacheGrids: CacheGrids?

  init(_ block: LlamaBlock, inputs: EngineOptions.Inputs) {
    let (attention, feedForward) = (block.attention, block.feedForward)
    attentionNorm = block.attentionNorm
    queries = PackedLinear(attention.queries, inputs: inputs)
    keys = PackedLinear(attention.keys, inputs: inputs)
    values = PackedLinear(attention.values, inputs: inputs)
    queryNorm = attention.queryNorm
    keyNorm = attention.keyNorm
    output = PackedLinear(attention.output, inputs: inputs)
    feedForwardNorm = block.feedForwardNorm
    gate = PackedLinear(feedForward.gate, inputs: inputs)
    up = PackedLinear(feedForward.up, inputs: inputs)
    down = PackedLinear(feedForward.down, inputs: inputs)
    heads = attention.heads
    keyHeads = attention.keyHeads
    window = attention.window ?? 0
    cacheGrids = attention.cacheGrids
    attentionForms = [queries.form, keys.form, values.form]
    outputForms = [output.form]
    feedForwardForms = [gate.form, up.form]
    downForms = [down.form]
  }

  /// The forms in which the inputs of the four groups of layers are wanted.
  let attentionForms: [InputForm]
  let outputForms: [InputForm]
  let feedForwardForms: [InputForm]
  let downForms: [InputForm]

  var headWidth: Int { queries.rows / heads }
  var linears: [PackedLinear] { [queries, keys, values, output, gate, up, down] }
}
