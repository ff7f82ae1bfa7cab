public import HalftoneTensor

/// Causal self-attention with rotary positions, grouped key heads, optional norms of queries and
/// keys, and an optional window.
public struct Attention: Sendable {
  /// The block's index, under which keys and values are cached.
  public let index: Int
  public let heads: Int
  public let keyHeads: Int
  /// How many positions back a query sees, itself included; nil for all.
  public let window: Int?
  public var queries: Linear
  public var keys: Linear
  public var values: Linear
  public var output: Linear
  /// Applied to each head before the rotation.
  public var queryNorm: RMSNorm?
  public var keyNorm: RMSNorm?
  /// Where keys and values are rounded before they are kept; nil where they stay as they are.
  public var cacheGrids: CacheGrids?

  public init(
    index: Int, heads: Int, keyHeads: Int, window: Int?, queries: Linear, keys: Linear,
    values: Linear, output: Linear, queryNorm: RMSNorm? = nil, keyNorm: RMSNorm? = nil,
    cacheGrids: CacheGrids? = nil
  ) {
    self.index = index
    self.heads = heads
    self.keyHeads = keyHeads
    self.window = window
    self.queries = queries
    self.keys = keys
    self.values = values
    self.output = output
    self.queryNorm = queryNorm
    self.keyNorm = keyNorm
    self.cacheGrids = cacheGrids
  }

  /// x [batch·length, hidden] to the same shape.
  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    var q = queries(x, context)
    var k = keys(x, context)
    var v = values(x, context)
    q = (queryNorm?(q) ?? q).rotary(cosine: context.cosine, sine: context.sine)
    k = (keyNorm?(k) ?? k).rotary(cosine: context.cosine, sine: context.sine)
    context.observeCache?(k, v)
    if let cacheGrids { (k, v) = cacheGrids.rounded(k, v) }
    if let cache = context.cache {
      precondition(context.batch == 1, "a cache holds one sequence, not \(context.batch)")
      (k, v) = cache.append(layer: index, k, v)
    }
    let shape = AttentionShape(
      batch: context.batch, heads: heads, keyHeads: keyHeads, queryLength: context.length,
      keyLength: k.rows / context.batch, window: window)
    return output(Tensor.attention(queries: q, keys: k, values: v, shape), context)
  }
}
