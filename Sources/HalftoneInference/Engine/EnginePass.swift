import CHalftoneKernels
import HalftoneLayers
import HalftoneTensor

/// Consecutive new positions of one sequence among the rows of a pass.
struct PassPiece {
  let sequence: EngineSequence
  let ids: ArraySlice<Int>
  let firstRow: Int
  /// The position of its first row in the sequence.
  let position: Int
  /// Which of the inputs it belongs to, and whether it is the end of it.
  let input: Int
  let endsInput: Bool

  var rows: Range<Int> { firstRow..<firstRow + ids.count }
}

/// The intermediate values of a pass, reused by every pass.
final class EngineWorkspace {
  let hidden = Scratch<Float>()
  let branch = Scratch<Float>()
  let queries = Scratch<Float>()
  let keys = Scratch<Float>()
  let values = Scratch<Float>()
  let gate = Scratch<Float>()
  let up = Scratch<Float>()
  let logits = Scratch<Float>()
  var tasks: [ProductTask] = []
  let attentionInput: ActivationRows
  let attentionOutput: ActivationRows
  let feedForwardInput: ActivationRows
  let feedForwardHidden: ActivationRows
  let headInput: ActivationRows

  init(_ model: PackedModel) {
    let width = model.head.columns
    let block = model.blocks.first
    attentionInput = ActivationRows(columns: width)
    attentionOutput = ActivationRows(columns: block?.output.columns ?? width)
    feedForwardInput = ActivationRows(columns: width)
    feedForwardHidden = ActivationRows(columns: block?.down.columns ?? width)
    headInput = ActivationRows(columns: width)
  }
}

/// Rows on their way through the blocks of a model.
struct EnginePass {
  let model: PackedModel
  let workspace: EngineWorkspace
  let rotary: RotaryTable
  let pieces: [PassPiece]
  let rowCount: Int
  private let width: Int
  private let kernels = RowKernels.set

  init(
    model: PackedModel, workspace: EngineWorkspace, rotary: RotaryTable, pieces: [PassPiece]
  ) {
    self.model = model
    self.workspace = workspace
    self.rotary = rotary
    self.pieces = pieces
    rowCount = pieces.last?.rows.upperBound ?? 0
    width = model.head.columns
  }

  /// Runs the embedded rows in `workspace.hidden` through all blocks.
  func run() {
    for (index, block) in model.blocks.enumerated() {
      normalize(
        block.attentionNorm, into: workspace.attentionInput, block.attentionForms, after: index)
      attend(block, index)
      multiply([(block.output, workspace.branch)], workspace.attentionOutput)
      add(block.output.bias, to: workspace.branch)
      normalize(
        block.feedForwardNorm, into: workspace.feedForwardInput, block.feedForwardForms, after: 1)
      feedForward(block)
      add(block.down.bias, to: workspace.branch)
    }
    if !model.blocks.isEmpty { addBranch() }
  }

  // MARK: - Products

  /// Every product with its outputs [rows, linear.rows].
  func multiply(_ products: [(linear: PackedLinear, out: Scratch<Float>)], _ inputs: ActivationRows)
  {
    var left = products.reduce(0) { $0 + $1.linear.panels }
    var bytes = 0
    workspace.tasks.removeAll(keepingCapacity: true)
    for (linear, out) in products {
      bytes += linear.byteCount
      linear.task(inputs, out.reserve(inputs.rows * linear.rows)).cut(
        totalPanels: linear.panels, smallest: linear.smallestPiece(inputRows: inputs.rows),
        threads: Parallelism.threads, panelsLeft: &left, into: &workspace.tasks)
    }
    workspace.tasks.withUnsafeBufferPointer { tasks in
      forEachTask(tasks.count, worthSharing: bytes * inputs.rows >= 1 << 18) { tasks[$0].run() }
    }
  }

  /// Small work is done faster than another thread can be told of it.
  private func forEachTask(_ count: Int, worthSharing: Bool, _ body: (Int) -> Void) {
    if worthSharing { return parallelFor(count, body) }
    for task in 0..<count { body(task) }
  }

  // MARK: - Rows

  private func forEachRow(width: Int, _ body: (Int) -> Void) {
    let grain = max(1, (1 << 13) / width)
    guard rowCount > grain else { return (0..<rowCount).forEach(body) }
    parallelRanges(rowCount, grain: grain) { $0.forEach(body) }
  }

  /// hidden += branch (but not before the first block); rows = norm(hidden), in `forms`.
  private func normalize(
    _ norm: RMSNorm, into rows: ActivationRows, _ forms: [InputForm], after branches: Int
  ) {
    rows.reserve(rows: rowCount, forms: forms)
    norm.weight.withElements { weight in
      guard let weight = weight.baseAddress else { return }
      forEachRow(width: width) { row in
        let hidden = workspace.hidden.base + row * width
        if branches > 0 {
          kernels.add(hidden, workspace.branch.base + row * width, hidden, width)
        }
        _ = kernels.rms_norm(hidden, weight, norm.epsilon, rows.row(row), width)
        rows.finish(row: row)
      }
    }
  }

  private func addBranch() {
    let hidden = workspace.hidden.base
    kernels.add(hidden, workspace.branch.base, hidden, rowCount * width)
  }

  private func add(_ bias: Tensor?, to out: Scratch<Float>) {
    bias?.withElements { bias in
      guard let from = bias.baseAddress else { return }
      for row in 0..<rowCount {
        let target = out.base + row * bias.count
        kernels.add(target, from, target, bias.count)
      }
    }
  }

  private func feedForward(_ block: PackedBlock) {
    let (inner, hidden) = (block.down.columns, workspace.feedForwardHidden)
    multiply([(block.gate, workspace.gate), (block.up, workspace.up)], workspace.feedForwardInput)
    add(block.gate.bias, to: workspace.gate)
    add(block.up.bias, to: workspace.up)
    hidden.reserve(rows: rowCount, forms: block.downForms)
    forEachRow(width: inner) { row in
      kernels.silu_multiply(
        workspace.gate.base + row * inner, workspace.up.base + row * inner, hidden.row(row), inner)
      hidden.finish(row: row)
    }
    multiply([(block.down, workspace.branch)], hidden)
  }

  // MARK: - Attention

  private func attend(_ block: PackedBlock, _ index: Int) {
    let out = workspace.attentionOutput
    multiply(
      [
        (block.queries, workspace.queries), (block.keys, workspace.keys),
        (block.values, workspace.values),
      ], workspace.attentionInput)
    add(block.queries.bias, to: workspace.queries)
    add(block.keys.bias, to: workspace.keys)
    add(block.values.bias, to: workspace.values)
    for piece in pieces { rotateAndStore(piece, block, index) }
    out.reserve(rows: rowCount, forms: block.outputForms)
    for piece in pieces { attend(piece, block, index) }
    forEachRow(width: block.output.columns) { out.finish(row: $0) }
  }

  private func rotateAndStore(_ piece: PassPiece, _ block: PackedBlock, _ index: Int) {
    let (keyWidth, queryWidth) = (block.keys.rows, block.queries.rows)
    let perTask = max(1, (1 << 13) / queryWidth)
    parallelRanges(piece.ids.count, grain: perTask) { range in
      for offset in range {
        let row = piece.firstRow + offset
        rotary.withAngles(piece.position + offset) { cosine, sine in
          rotate(
            workspace.queries.base + row * queryWidth, block.heads, block.queryNorm, cosine, sine)
          rotate(workspace.keys.base + row * keyWidth, block.keyHeads, block.keyNorm, cosine, sine)
        }
      }
      let first = piece.firstRow + range.lowerBound
      round(first, range.count)
      piece.sequence.cache.withCache(block: index) {
        AttentionKernels.set.store(
          $0, piece.position + range.lowerBound, workspace.keys.base + first * keyWidth,
          workspace.values.base + first * keyWidth, keyWidth, range.count)
      }
    }

    func round(_ first: Int, _ count: Int) {
      guard let grids = block.cacheGrids else { return }
      func rows(_ all: Scratch<Float>) -> UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: all.base + first * keyWidth, count: count * keyWidth)
      }
      grids.roundKeys(rows(workspace.keys), width: keyWidth)
      grids.roundValues(rows(workspace.values), width: keyWidth)
    }

    func rotate(
      _ row: UnsafeMutablePointer<Float>, _ heads: Int, _ norm: RMSNorm?,
      _ cosine: UnsafePointer<Float>, _ sine: UnsafePointer<Float>
    ) {
      let headWidth = block.headWidth
      for head in 0..<heads {
        let x = row + head * headWidth
        norm?.weight.withElements { weight in
          guard let weight = weight.baseAddress else { return }
          _ = kernels.rms_norm(x, weight, norm?.epsilon ?? 0, x, headWidth)
        }
        kernels.rotate(x, cosine, sine, x, headWidth / 2)
      }
    }
  }

  /// Rows that one thread takes at a time.
  private static let attentionRows = 64

  private func attend(_ piece: PassPiece, _ block: PackedBlock, _ index: Int) {
    let (count, stride) = (piece.ids.count, block.queries.rows)
    let tiles = (count + Self.attentionRows - 1) / Self.attentionRows
    let seen = piece.position + count
    let scale = 1 / Float(block.headWidth).squareRoot()
    let group = block.heads / block.keyHeads
    piece.sequence.cache.withCache(block: index) { cache in
      forEachTask(
        tiles * block.keyHeads, worthSharing: seen * count * stride >= 1 << 15
      ) { task in
        // The last rows see the most positions; they go first.
        let tile = tiles - 1 - task / block.keyHeads
        let first = tile * Self.attentionRows
        let rows = min(Self.attentionRows, count - first)
        let offset = (piece.firstRow + first) * stride
        AttentionKernels.set.attend(
          cache, task % block.keyHeads, group, workspace.queries.base + offset,
          workspace.attentionOutput.row(0) + offset, stride, piece.position + first, rows,
          block.window, scale)
      }
    }
  }

  // MARK: - Logits

  /// The logits [rows.count, vocabulary] after the final norm and head, of rows of `hidden`.
  func logits(rows: [Int]) -> UnsafePointer<Float> {
    let inputs = workspace.headInput
    inputs.reserve(rows: rows.count, forms: [model.head.form])
    model.headNorm.weight.withElements { weight in
      guard let weight = weight.baseAddress else { return }
      for (i, row) in rows.enumerated() {
        _ = kernels.rms_norm(
          workspace.hidden.base + row * width, weight, model.headNorm.epsilon, inputs.row(i), width)
        inputs.finish(row: i)
      }
    }
    multiply([(model.head, workspace.logits)], inputs)
    return UnsafePointer(workspace.logits.base)
  }
}

/// The kernels of this machine.
enum RowKernels {
  nonisolated(unsafe) static let set = halftone_kernels_best().pointee
}

enum AttentionKernels {
  /// Whether the processor has instructions for products of bfloat16.
  static let multipliesBFloat16 = String(cString: set.name).hasSuffix("bf16")
  nonisolated(unsafe) static let set = halftone_attention_best().pointee
}
