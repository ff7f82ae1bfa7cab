import CHalftoneKernels

/// The lengths of one call of ``Tensor/attention(queries:keys:values:_:)``.
public struct AttentionShape: Sendable, Equatable {
  /// Sequences side by side in the rows of queries, keys and values.
  public var batch: Int
  /// Query heads, a multiple of `keyHeads` (grouped-query attention).
  public var heads: Int
  public var keyHeads: Int
  /// Rows per sequence.
  ///
  /// Query i stands at position `keyLength − queryLength + i`.
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

  /// Query rows that share one matrix product: few, to skip nearly all of the masked triangle.
  static let blockLength = 32

  var blocks: [Range<Int>] {
    stride(from: 0, to: queryLength, by: Self.blockLength).map {
      $0..<min($0 + Self.blockLength, queryLength)
    }
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
  ///
  /// In the ``ProductPrecision`` that holds where it is called, the gradients as well.
  public static func attention(
    queries: Tensor, keys: Tensor, values: Tensor, _ shape: AttentionShape
  ) -> Tensor {
    let kernel = AttentionKernel(queries, keys, values, shape, .current)
    let keeps = queries.needsGradient || keys.needsGradient || values.needsGradient
    let square = shape.queryLength * shape.keyLength
    let saved = Storage(byteCount: keeps ? shape.batch * shape.heads * square * 4 : 0)
    let result = Tensor(shape: queries.shape) { out in
      guard let out = out.baseAddress else { return }
      parallelFor(shape.batch * shape.heads) { task in
        // Without a gradient to come, the rows of one block are enough, and stay in cache.
        let own =
          keeps
          ? nil : Storage(byteCount: min(square, AttentionShape.blockLength * shape.keyLength) * 4)
        withExtendedLifetime(own) {
          let p = (own ?? saved).base.assumingMemoryBound(to: Float.self)
          kernel.forward(task, keeps ? p + task * square : p, keeps: keeps, out)
        }
      }
    }
    return result.recorded(.attention, [queries, keys, values]) { dy in
      kernel.pullback(saved, dy)
    }
  }
}

struct AttentionKernel {
  let queries: Tensor
  let keys: Tensor
  let values: Tensor
  let shape: AttentionShape
  let precision: ProductPrecision
  let width: Int

  init(
    _ queries: Tensor, _ keys: Tensor, _ values: Tensor, _ shape: AttentionShape,
    _ precision: ProductPrecision
  ) {
    width = queries.columns / shape.heads
    precondition(
      queries.shape == [shape.batch * shape.queryLength, shape.heads * width]
        && keys.shape == [shape.batch * shape.keyLength, shape.keyHeads * width]
        && values.shape == keys.shape,
      "attention: \(queries.shape), \(keys.shape), \(values.shape) as \(shape)")
    (self.queries, self.keys, self.values) = (queries, keys, values)
    (self.shape, self.precision) = (shape, precision)
  }

  var alpha: Float { 1 / Float(width).squareRoot() }
  var queryStride: Int { shape.heads * width }
  var keyStride: Int { shape.keyHeads * width }

  func queryStart(_ sequence: Int, _ head: Int, _ row: Int) -> Int {
    (sequence * shape.queryLength + row) * queryStride + head * width
  }

  func keyStart(_ sequence: Int, _ head: Int, _ row: Int) -> Int {
    (sequence * shape.keyLength + row) * keyStride
      + head / (shape.heads / shape.keyHeads) * width
  }

  /// Writes probabilities to `p`, [queryLength, keyLength] or one block of its rows after the other.
  func forward(
    _ task: Int, _ p: UnsafeMutablePointer<Float>, keeps: Bool,
    _ out: UnsafeMutablePointer<Float>
  ) {
    let (sequence, head) = (task / shape.heads, task % shape.heads)
    if precision == .bfloat16 { return forwardInBFloat16(sequence, head, p, keeps: keeps, out) }
    let start = keyStart(sequence, head, 0)
    let keysByColumn = transposed(keys.floats + start)
    for block in shape.blocks {
      let p = keeps ? p : p - block.lowerBound * shape.keyLength
      let seen = shape.visible(block)
      let from = queryStart(sequence, head, block.lowerBound)
      let scores = p + block.lowerBound * shape.keyLength + seen.lowerBound
      Kernels.set.small_product(
        queries.floats + from, queryStride, 1, keysByColumn.floats + seen.lowerBound,
        shape.keyLength, scores, shape.keyLength, block.count, seen.count, width, 0)
      for i in block { normalize(p + i * shape.keyLength, shape.visible(i), within: seen) }
      Kernels.set.small_product(
        scores, shape.keyLength, 1, values.floats + start + seen.lowerBound * keyStride, keyStride,
        out + from, queryStride, block.count, width, seen.count, 0)
    }
  }

  /// One head's keys or values by columns: [width, keyLength].
  private func transposed(_ head: UnsafePointer<Float>) -> Tensor {
    Tensor(shape: [width, shape.keyLength]) { out in
      guard let columns = out.baseAddress else { return }
      // Sixteen rows at a time: their cache lines are read once for all columns.
      for start in stride(from: 0, to: shape.keyLength, by: 16) {
        let rows = start..<min(start + 16, shape.keyLength)
        for i in 0..<width {
          for j in rows { columns[i * shape.keyLength + j] = head[j * keyStride + i] }
        }
      }
    }
  }

  /// Softmax over a block's row, with 0 for the keys that its other queries see and this one does not.
  func normalize(
    _ row: UnsafeMutablePointer<Float>, _ own: Range<Int>, within seen: Range<Int>
  ) {
    (row + seen.lowerBound).update(
      repeating: -.infinity, count: own.lowerBound - seen.lowerBound)
    (row + own.upperBound).update(repeating: -.infinity, count: seen.upperBound - own.upperBound)
    _ = Kernels.set.softmax(row + seen.lowerBound, alpha, seen.count)
  }

  func pullback(_ saved: Storage, _ dy: Tensor) -> [Tensor?] {
    let square = shape.queryLength * shape.keyLength
    let p = saved.base.assumingMemoryBound(to: Float.self)
    let group = shape.heads / shape.keyHeads
    let dq = Tensor(shape: queries.shape) { _ in }
    let dk = Tensor(shape: keys.shape) { _ in }
    let dv = Tensor(shape: keys.shape) { _ in }
    parallelFor(shape.batch * shape.keyHeads) { task in
      let (sequence, keyHead) = (task / shape.keyHeads, task % shape.keyHeads)
      let scratch = AttentionScratch(width: width, keyLength: shape.keyLength)
      for head in keyHead * group..<(keyHead + 1) * group {
        let p = p + (sequence * shape.heads + head) * square
        switch precision {
        case .float32: pullback(sequence, head, inFloats: p, dy.floats, scratch, dq.own)
        case .bfloat16: pullback(sequence, head, inBFloat16: p, dy.floats, scratch, dq.own)
        }
      }
      let start = keyStart(sequence, keyHead * group, 0)
      untranspose(scratch.dk, to: dk.own + start)
      untranspose(scratch.dv, to: dv.own + start)
    }
    return [dq, dk, dv]
  }

  private func pullback(
    _ sequence: Int, _ head: Int, inFloats p: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    _ scratch: AttentionScratch, _ dq: UnsafeMutablePointer<Float>
  ) {
    let valuesByColumn = transposed(values.floats + keyStart(sequence, head, 0))
    let (length, ds) = (shape.keyLength, scratch.ds.own)
    for block in shape.blocks {
      let seen = shape.visible(block)
      let from = queryStart(sequence, head, block.lowerBound)
      let (m, n, first) = (block.count, seen.count, seen.lowerBound)
      let probabilities = p + block.lowerBound * length + first
      // dP = do·vᵀ, dvᵀ += doᵀ·P
      Kernels.set.small_product(
        dy + from, queryStride, 1, valuesByColumn.floats + first, length, ds, n, m, n, width, 0)
      Kernels.set.small_product(
        dy + from, 1, queryStride, probabilities, length, scratch.dv.own + first, length, width, n,
        m, 1)
      for row in 0..<m {  // P is 0 where masked, and with it dS
        Kernels.set.softmax_pullback(
          probabilities + row * length, ds + row * n, alpha, ds + row * n, n)
      }
      // dq = dS·k, dkᵀ += qᵀ·dS
      Kernels.set.small_product(
        ds, n, 1, keys.floats + keyStart(sequence, head, first), keyStride, dq + from, queryStride,
        m, width, n, 0)
      Kernels.set.small_product(
        queries.floats + from, 1, queryStride, ds, n, scratch.dk.own + first, length, width, n, m, 1
      )
    }
  }

  /// Writes [width, keyLength] to the rows of one head.
  private func untranspose(_ columns: Tensor, to head: UnsafeMutablePointer<Float>) {
    let source = columns.floats
    for start in stride(from: 0, to: shape.keyLength, by: 16) {
      let rows = start..<min(start + 16, shape.keyLength)
      for i in 0..<width {
        for j in rows { head[j * keyStride + i] = source[i * shape.keyLength + j] }
      }
    }
  }
}

/// What one key head's pullback sums and reuses.
struct AttentionScratch {
  /// dkᵀ and dvᵀ, [width, keyLength]: long rows for the vectors even where heads are narrow.
  let dk: Tensor
  let dv: Tensor
  /// dP, then dS of one block of queries.
  let ds: Tensor

  init(width: Int, keyLength: Int) {
    dk = Tensor(repeating: 0, shape: [width, keyLength])
    dv = Tensor(repeating: 0, shape: [width, keyLength])
    ds = Tensor(shape: [AttentionShape.blockLength, keyLength]) { _ in }
  }
}

extension Tensor {
  /// The elements of a tensor that was made a moment ago and is seen by nobody else.
  var own: UnsafeMutablePointer<Float> { UnsafeMutablePointer(mutating: floats) }
}
