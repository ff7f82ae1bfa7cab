import Synchronization

/// What an operation leaves behind for the walk back: what it read, and how a gradient passes it.
final class GradientNode: @unchecked Sendable {
  /// Larger than the ids of all inputs: the order of the walk.
  let id: Int
  let operation: TensorOperation?
  let inputs: [Tensor]
  /// From the output's gradient to one gradient per input; nil for inputs that need none.
  let pullback: (Tensor) -> [Tensor?]

  private static let created = Atomic<Int>(0)

  init(
    _ operation: TensorOperation?, _ inputs: [Tensor], _ pullback: @escaping (Tensor) -> [Tensor?]
  ) {
    id = GradientNode.created.wrappingAdd(1, ordering: .relaxed).newValue
    self.operation = operation
    self.inputs = inputs
    self.pullback = pullback
  }
}

/// The differentiable operations; the gradient test iterates over all of them.
public enum TensorOperation: String, CaseIterable, Sendable {
  case add, subtract, multiply, scale, addRow, exp, log, sigmoid, silu, siluMultiply, clamp, round
  case sum, mean, matmul, linear, softmax, logSoftmax, rmsNorm, rotary, attention, embedding
  case reshape, transpose, rows, concatenate, squaredError, crossEntropy, klDivergence
  case fakeQuantize, fakeQuantizeTokens, flexRound, adaRound, signRound, perturbedRound
  case mix, summedByRows
}

extension Tensor {
  /// Whether a gradient will flow through or into this tensor.
  public var needsGradient: Bool { node != nil }

  /// The same values as a leaf of a new graph, whose gradient can be asked for.
  public func tracked() -> Tensor {
    var leaf = detached
    leaf.node = GradientNode(nil, []) { _ in [] }
    return leaf
  }

  /// This result, joined to the graph if any input is part of one.
  ///
  /// `pullback` maps the gradient of this tensor to one of each input; it may return nil for an
  /// input that does not need one.
  func recorded(
    _ operation: TensorOperation, _ inputs: [Tensor], _ pullback: @escaping (Tensor) -> [Tensor?]
  ) -> Tensor {
    guard inputs.contains(where: \.needsGradient) else { return self }
    var result = self
    result.node = GradientNode(operation, inputs, pullback)
    return result
  }

  /// The gradients of this scalar with respect to `leaves`, zero where it does not depend on one.
  public func gradients(of leaves: [Tensor]) -> [Tensor] {
    precondition(count == 1, "gradients of a tensor of shape \(shape)")
    return gradients(of: leaves, from: Tensor(repeating: 1, shape: shape))
  }

  /// The gradients with respect to `leaves` of a scalar whose gradient with respect to this tensor is
  /// `gradient`: the walk back through one part of a network.
  public func gradients(of leaves: [Tensor], from gradient: Tensor) -> [Tensor] {
    precondition(gradient.shape == shape, "gradient \(gradient.shape) of a tensor \(shape)")
    var sums: [Int: Tensor] = [:]
    if let node { sums[node.id] = gradient }
    let wanted = Set(leaves.compactMap { $0.node?.id })
    for node in walk() where !(node.operation == nil) {
      guard let gradient = sums[node.id] else { continue }
      if !wanted.contains(node.id) { sums[node.id] = nil }
      for (input, part) in zip(node.inputs, node.pullback(gradient)) {
        guard let part, let target = input.node else { continue }
        sums[target.id] = sums[target.id].map { $0.plus(part) } ?? part
      }
    }
    return leaves.map { leaf in
      precondition(leaf.node != nil, "a gradient was asked for a tensor that is not tracked")
      return leaf.node.flatMap { sums[$0.id] } ?? Tensor(repeating: 0, shape: leaf.shape)
    }
  }

  /// The graph's nodes, outputs before inputs.
  private func walk() -> [GradientNode] {
    var seen: [Int: GradientNode] = [:]
    var pending = [node].compactMap { $0 }
    while let node = pending.popLast() {
      guard seen.updateValue(node, forKey: node.id) == nil else { continue }
      pending += node.inputs.compactMap(\.node)
    }
    return seen.values.sorted { $0.id > $1.id }
  }
}
