package import HalftoneLayers
import HalftoneTensor

/// The original network after some block: the later blocks, the final norm and the head.
///
/// Weights stay in the types they are stored in, mapped from the file, and become floats as they are
/// used: what this holds does not grow with the network.
public struct NetworkTail {
  private let blocks: [any TransformerBlock]
  private let head: any OutputHead
  /// Whose logits are held together.
  private let tokensAtOnce: Int

  /// - Throws: what reading the blocks throws.
  public init(_ network: Network, after index: Int) throws {
    let model = network.model
    blocks = try (index + 1..<max(index + 1, model.blockCount)).map(model.storedBlock)
    head = try model.head()
    tokensAtOnce = LogitChunks.tokens(vocabulary: model.vocabularySize)
  }

  package init(blocks: [any TransformerBlock], head: any OutputHead, tokensAtOnce: Int = 256) {
    (self.blocks, self.head, self.tokensAtOnce) = (blocks, head, tokensAtOnce)
  }

  /// What enters the head where `stream` enters the later blocks.
  func finals(_ stream: ActivationStream, _ problem: BlockProblem) -> ActivationStream {
    blocks.reduce(stream) { problem.output(of: $1, on: $0) }
  }

  /// The mean cross-entropy of the token after each but the last, `next`, in the predictions that one
  /// sequence `hidden` [next.count + 1, hidden] leads to; differentiable.
  func crossEntropy(of hidden: Tensor, next: [Int], _ context: ForwardContext) -> Tensor {
    final(hidden, context).rows(0..<next.count).summed(byRows: tokensAtOnce) { piece, rows in
      head(piece).crossEntropy(targets: Array(next[rows]))
        * (Float(rows.count) / Float(next.count))
    }
  }

  /// The mean over tokens of KL(p ‖ q), q the predictions that `hidden` leads to and p those of what
  /// enters the head of the original network; differentiable.
  func divergence(
    of hidden: Tensor, from finals: Tensor, _ context: ForwardContext, temperature: Float
  ) -> Tensor {
    head.divergence(
      of: final(hidden, context), from: finals, temperature: temperature,
      tokensAtOnce: tokensAtOnce)
  }

  private func final(_ hidden: Tensor, _ context: ForwardContext) -> Tensor {
    blocks.reduce(hidden) { $1($0, context) }
  }
}
