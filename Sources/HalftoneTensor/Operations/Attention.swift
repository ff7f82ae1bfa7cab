import CHalftoneKernels

/// The lengths of one call of ``Tensor/attention(queries:keys:values:_:)``.
public struct AttentionShape: Sendable, Equatable {
  /// Sequences side by side in the rows of queries, keys and values.
  public var batch: Int
  /// Query heads, a multiple of `keyHeads` (grouped-query attention).
  public var heads: Int
  public var keyHeads: Int
  /// Rows per sequence. Query i stands at position `keyLength − queryLength + i`.
  public var queryLength: Int
  public var keyLength: Int
  /// How many positions back a query sees, itself included; nil for all.
  public var window: Int?

  public init(
    batch: Int, heads: Int, keyHeads: Int, queryLength: Int, keyLength: Int, window: Int? = nil
  ) {
    precondition(heads % keyHeads == 0 && queryLength <= keyLength && (window ?? 1) > 0)
    self.batch = batch
    self.heads = heads
    self.keyHeads = keyHeads
    self.queryLength = queryLength
    self.keyLength = keyLength
    self.window = window
  }

  /// The keys that query `i` of a sequence sees.
  func visible(_ i: Int) -> Range<Int> {
    let end = keyLength - queryLength + i + 1
    return max(0, end - (window ?? end))..<end
  }

  /// Query rows that share one matrix product: small enough to skip most of the masked triangle.
  var blocks: [Range<Int>] {
    stride(from: 0, to: queryLength, by: 128).map { $0..<min($0 + 128, queryLength) }
  }

  /// The keys that any query of `block` sees.
  func visible(_ block: Range<Int>) -> Range<Int> {
    visible(block.lowerBound).lowerBound..<visible(block.upperBound - 1).upperBound
  }
}

/// Causal scaled dot-product attention of Vaswani et al. (2017), one head of one sequence at a time.
///
/// P = softmax(q·kᵀ/√d), o = P·v;
/// dv = Pᵀ·do, dP = do·vᵀ, dS = P∘(dP − Σ P∘dP)/√d, dq = dS·k, dk = dSᵀ·q.
extension Tensor {
  /// Queries [batch·queryLength, heads·d] against keys and values [batch·keyLength, keyHeads·d]:
  /// [batch·queryLength, heads·d].
  public static func attention(
    queries: Tensor, keys: Tensor, values: Tensor, _ shape: AttentionShape
  ) -> Tensor {
    let kernel = AttentionKernel(queries, keys, values, shape)
    let keeps = queries.needsGradient || keys.needsGradient || values.needsGradient
    let square = shape.queryLength * shape.keyLength
    let saved = Storage(byteCount: keeps ? shape.batch * shape.heads * square * 4 : 0)
    let result = Tensor(shape: queries.shape) { out in
      guard let out = out.baseAddress else { return }
      parallelFor(shape.batch * shape.heads) { task in
        let own = keeps ? nil : Storage(byteCount: square * 4)
        let p = (own ?? saved).base.assumingMemoryBound(to: Float.self)
        kernel.forward(task / shape.heads, task % shape.heads, keeps ? p + task * square : p, out)
      }
    }
    return result.recorded(.attention, [queries, keys, values]) { dy in
      AttentionKernel(queries, keys, values, shape).pullback(saved, dy)
    }
  }
}

private struct AttentionKernel {
  let queries: Tensor
  let keys: Tensor
  let values: Tensor
  let shape: AttentionShape
  let width: Int

  init(_ queries: Tensor, _ keys: Tensor, _ values: Tensor, _ shape: AttentionShape) {
    width = queries.columns / shape.heads
    precondition(
      queries.shape == [shape.batch * shape.queryLength, shape.heads * width]
        && keys.shape == [shape.batch * shape.keyLength, shape.keyHeads * width]
        && values.shape == keys.shape,
      "attention: \(queries.shape), \(keys.shape), \(values.shape) as \(shape)")
    (self.queries, self.keys, self.values, self.shape) = (queries, keys, values, shape)
  }

  private var alpha: Float { 1 / Float(width).squareRoot() }
  private var queryStride: Int { shape.heads * width }
  private var keyStride: Int { shape.keyHeads * width }

  private func queryStart(_ sequence: Int, _ head: Int, _ row: Int) -> Int {
    (sequence * shape.queryLength + row) * queryStride + head * width
  }

  private func keyStart(_ sequence: Int, _ head: Int, _ row: Int) -> Int {
    (sequence * shape.keyLength + row) * keyStride
      + head / (shape.heads / shape.keyHeads) * width
  }

  func forward(
    _ sequence: Int, _ head: Int, _ p: UnsafeMutablePointer<Float>,
    _ out: UnsafeMutablePointer<Float>
  ) {
    for block in shape.blocks {
      let seen = shape.visible(block)
      let at = keyStart(sequence, head, seen.lowerBound)
      let from = queryStart(sequence, head, block.lowerBound)
      let scores = p + block.lowerBound * shape.keyLength + seen.lowerBound
      MatrixProduct.serial(
        block.count, seen.count, width, .init(queries.floats + from, stride: queryStride),
        .init(keys.floats + at, stride: keyStride, transposed: true), scores,
        stride: shape.keyLength)
      for i in block { normalize(p + i * shape.keyLength, shape.visible(i), within: seen) }
      MatrixProduct.serial(
        block.count, width, seen.count, .init(scores, stride: shape.keyLength),
        .init(values.floats + at, stride: keyStride), out + from, stride: queryStride)
    }
  }

  private func normalize(
    _ row: UnsafeMutablePointer<Float>, _ own: Range<Int>, within seen: Range<Int>
  ) {
    _ = Kernels.set.softmax(row + own.lowerBound, alpha, own.count)
    clear(row, own, within: seen)
  }

  /// Zeros for the keys that other queries of the block see and this one does not.
  private func clear(
    _ row: UnsafeMutablePointer<Float>, _ own: Range<Int>, within seen: Range<Int>
  ) {
    (row + seen.lowerBound).update(repeating: 0, count: own.lowerBound - seen.lowerBound)
    (row + own.upperBound).update(repeating: 0, count: seen.upperBound - own.upperBound)
  }

  func pullback(_ saved: Storage, _ dy: Tensor) -> [Tensor?] {
    let square = shape.queryLength * shape.keyLength
    let p = saved.base.assumingMemoryBound(to: Float.self)
    let group = shape.heads / shape.keyHeads
    let dq = Tensor(shape: queries.shape) { _ in }
    let dk = Tensor(repeating: 0, shape: keys.shape)
    let dv = Tensor(repeating: 0, shape: keys.shape)
    parallelFor(shape.batch * shape.keyHeads) { task in
      let scratch = Storage(byteCount: 128 * shape.keyLength * 4)
      for member in 0..<group {
        let (sequence, head) = (task / shape.keyHeads, task % shape.keyHeads * group + member)
        pullback(
          sequence, head, p + (sequence * shape.heads + head) * square, dy.floats,
          scratch.base.assumingMemoryBound(to: Float.self), dq.own, dk.own, dv.own)
      }
    }
    return [dq, dk, dv]
  }

  private func pullback(
    _ sequence: Int, _ head: Int, _ p: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    _ ds: UnsafeMutablePointer<Float>, _ dq: UnsafeMutablePointer<Float>,
    _ dk: UnsafeMutablePointer<Float>, _ dv: UnsafeMutablePointer<Float>
  ) {
    for block in shape.blocks {
      let seen = shape.visible(block)
      let at = keyStart(sequence, head, seen.lowerBound)
      let from = queryStart(sequence, head, block.lowerBound)
      let (m, n) = (block.count, seen.count)
      let probabilities = p + block.lowerBound * shape.keyLength + seen.lowerBound
      let gradient = MatrixProduct.Operand(dy + from, stride: queryStride)
      MatrixProduct.serial(
        m, n, width, gradient, .init(values.floats + at, stride: keyStride, transposed: true), ds,
        stride: n)
      MatrixProduct.serial(
        n, width, m, .init(probabilities, stride: shape.keyLength, transposed: true), gradient,
        dv + at, stride: keyStride, beta: 1)
      for i in block {
        let own = shape.visible(i)
        let row = ds + (i - block.lowerBound) * n - seen.lowerBound
        Kernels.set.softmax_pullback(
          p + i * shape.keyLength + own.lowerBound, row + own.lowerBound, alpha,
          row + own.lowerBound, own.count)
        clear(row, own, within: seen)
      }
      MatrixProduct.serial(
        m, width, n, .init(ds, stride: n), .init(keys.floats + at, stride: keyStride), dq + from,
        stride: queryStride)
      MatrixProduct.serial(
        n, width, m, .init(ds, stride: n, transposed: true),
        .init(queries.floats + from, stride: queryStride), dk + at, stride: keyStride, beta: 1)
    }
  }
}

extension Tensor {
  /// The elements of a tensor that was made a moment ago and is seen by nobody else.
  fileprivate var own: UnsafeMutablePointer<Float> { UnsafeMutablePointer(mutating: floats) }
}
