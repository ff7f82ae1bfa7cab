import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

/// What a method for whole networks trains: the blocks from one on with the head behind them, or a
/// unit that is tried on its own.
struct TrainedNetwork {
  /// How far an output is from the original's: the loss, and its gradient with respect to the output.
  typealias Objective = (_ output: Tensor, _ target: Tensor) throws -> (
    loss: Float, gradient: Tensor
  )

  /// Index of the first block.
  let first: Int
  let count: Int
  /// What the original's last block gives, for all samples.
  let targets: ActivationStream
  let objective: Objective
  /// The schemes of the layers of a block, by layer name; blocks are counted from `first`.
  let schemes: (_ block: Int) -> [String: LayerScheme]
  private let original: (_ block: Int) throws -> any TransformerBlock

  /// Runs the original network over all samples; `visit` sees each block on the way.
  init(
    _ problem: BlockProblem, visit: (_ block: Int, any TransformerBlock) throws -> Void
  ) throws {
    first = problem.index
    guard let network = problem.network else {
      let (block, schemes) = (problem.block.densified(), problem.schemes)
      (count, targets, self.schemes) = (1, problem.targets, { _ in schemes })
      (original, objective) = ({ _ in block }, Self.relativeError)
      try visit(0, block)
      return
    }
    let (model, start) = (network.model, problem.index)
    count = model.blockCount - start
    schemes = { network.schemes(start + $0) }
    var changed: [Int: any TransformerBlock] = [:]
    var stream = problem.original
    for index in 0..<count {
      let stored = try model.storedBlock(start + index)
      let block = try network.prepared(start + index, stream).densified()
      if !Self.same(block, stored) { changed[index] = block }
      try visit(index, block)
      stream = Self.run(stored.densified(), stream, problem)
    }
    let kept = changed
    original = { try kept[$0] ?? model.storedBlock(start + $0).densified() }
    targets = stream
    objective = Self.divergence(try model.head(), vocabulary: model.vocabularySize)
  }

  /// Block `index` with its weights before rounding, as floats.
  ///
  /// It is read anew, so that the floats live no longer than they are needed; blocks that the recipe's
  /// transforms changed are kept.
  func block(_ index: Int) throws -> any TransformerBlock { try original(index) }

  private static func same(_ a: any TransformerBlock, _ b: any TransformerBlock) -> Bool {
    zip(a.linears, b.linears).allSatisfy { $0.weight.dense().hasSameBits(as: $1.weight.dense()) }
  }

  private static func run(
    _ block: any TransformerBlock, _ stream: ActivationStream, _ problem: BlockProblem
  ) -> ActivationStream {
    let step = max(1, tokensPerPiece / stream.length)
    let pieces = stride(from: 0, to: stream.samples, by: step).map { start in
      let samples = start..<min(stream.samples, start + step)
      return block(stream.samples(samples), problem.makeContext(samples.count))
    }
    return ActivationStream(activations: .concatenating(pieces), length: stream.length)
  }

  /// Tokens run at a time where no gradient is needed.
  private static let tokensPerPiece = 2048

  // MARK: - Objectives

  /// ‖ŷ − y‖² / ‖y‖².
  private static func relativeError(
    _ output: Tensor, _ target: Tensor
  ) -> (loss: Float, gradient: Tensor) {
    let zero = Tensor(repeating: 0, shape: target.shape)
    let size = target.squaredError(to: zero, dividedBy: 1).scalar
    let leaf = output.tracked()
    let loss = leaf.squaredError(to: target, dividedBy: size > 0 ? size : 1)
    return (loss.scalar, loss.gradients(of: [leaf])[0])
  }

  /// The mean over tokens of KL(p ‖ q) of the predictions behind `head`.
  static func divergence(_ head: any OutputHead, vocabulary: Int) -> Objective {
    { output, target in
      let leaf = output.tracked()
      let loss = head.divergence(
        of: leaf, from: target, tokensAtOnce: LogitChunks.tokens(vocabulary: vocabulary))
      return (loss.scalar, loss.gradients(of: [leaf])[0])
    }
  }
}
