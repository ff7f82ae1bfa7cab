package import HalftoneLayers
package import HalftoneTensor

/// A pass forward and back through a row of blocks that keeps no more than what enters each block.
///
/// Forward, a block's graph is dropped as soon as its output is there; on the way back each block runs
/// again, with its weights as leaves, and hands the gradient of its input to the one before. Memory is
/// that of one block's graph and gradients, whatever the number of blocks; the cost is one more forward
/// pass.
package struct RecomputedPass {
  /// A block whose weights may be leaves of a graph.
  package struct Step {
    package var block: any TransformerBlock
    package var leaves: [Tensor]

    package init(block: any TransformerBlock, leaves: [Tensor]) {
      self.block = block
      self.leaves = leaves
    }
  }

  package let count: Int
  /// Block `index` as it stands, with leaves or without.
  package let block: (_ index: Int, _ tracked: Bool) throws -> Step

  package init(count: Int, block: @escaping (_ index: Int, _ tracked: Bool) throws -> Step) {
    self.count = count
    self.block = block
  }

  /// What the last block gives for `input` [tokens, hidden].
  package func output(_ input: Tensor, _ context: ForwardContext) throws -> Tensor {
    var x = input
    for index in 0..<count {
      let step = try block(index, false)
      x = step.block(x, context)
    }
    return x
  }

  /// Runs forward and back, giving the gradients of each block's leaves to `take`, last block first.
  ///
  /// `take` may change the block: it is not asked for again. The pass ends early where `objective` gives
  /// no gradient, or `take` is not satisfied and returns false.
  package func callAsFunction(
    _ input: Tensor, _ context: ForwardContext,
    objective: (_ output: Tensor) throws -> Tensor?,
    take: (_ index: Int, _ gradients: [Tensor]) throws -> Bool
  ) throws {
    var inputs = [input]
    for index in 0..<count {
      let step = try block(index, false)
      inputs.append(step.block(inputs[index], context))
    }
    guard var flow = try objective(inputs.removeLast()) else { return }
    for index in (0..<count).reversed() {
      // Nothing lies before the first block.
      let x = index > 0 ? inputs.removeLast().tracked() : input
      let step = try block(index, true)
      let leaves = step.leaves + (index > 0 ? [x] : [])
      var gradients = step.block(x, context).gradients(of: leaves, from: flow)
      if index > 0 { flow = gradients.removeLast() }
      guard try take(index, gradients) else { return }
    }
  }
}
