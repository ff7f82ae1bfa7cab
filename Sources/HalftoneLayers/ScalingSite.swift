import HalftoneTensor

/// Activations of a block whose channels can be divided by positive factors where they are made and
/// multiplied back where they are read, which leaves the block's function as it is.
public struct ScalingSite: Sendable, Equatable {
  /// What makes the channels.
  public enum Producer: Sendable, Equatable {
    /// The gain of the norm of this name.
    case norm(String)
    /// The rows of the linear layer of this name.
    case linear(String)
  }

  public let producer: Producer
  /// The linear layers that read the channels, and nothing else does.
  public let consumers: [String]
  /// For each input channel of the consumers the channel of the producer that it comes from.
  public let sources: [Int]

  public init(producer: Producer, consumers: [String], sources: [Int]) {
    self.producer = producer
    self.consumers = consumers
    self.sources = sources
  }

  /// The number of factors.
  public var channels: Int { (sources.max() ?? -1) + 1 }

  /// The producer's layer, if it is one, and the consumers.
  public var linears: [String] {
    guard case .linear(let name) = producer else { return consumers }
    return [name] + consumers
  }
}

extension TransformerBlock {
  /// Divides what `site` produces by `factors`, one for each of its channels, and multiplies the
  /// columns of its consumers by them.
  ///
  /// The weights of the layers concerned become floats.
  public mutating func rescale(_ site: ScalingSite, by factors: [Float]) {
    precondition(factors.count == site.channels, "\(factors.count) factors at \(site)")
    precondition(factors.allSatisfy { $0 > 0 && $0.isFinite }, "factors at \(site)")
    let inverse = factors.map { 1 / $0 }
    forEachNorm { name, norm in
      guard site.producer == .norm(name) else { return }
      norm.weight = Tensor(
        zip(norm.weight.values, inverse).map { $0 * $1 }, shape: norm.weight.shape)
    }
    let columns = site.sources.map { factors[$0] }
    forEachLinear { linear in
      if site.producer == .linear(linear.name) {
        linear.weight = .dense(linear.weight.dense().scaling(rows: inverse))
        linear.bias = linear.bias.map { bias in
          Tensor(zip(bias.values, inverse).map { $0 * $1 }, shape: bias.shape)
        }
      }
      if site.consumers.contains(linear.name) {
        linear.weight = .dense(linear.weight.dense().scaling(columns: columns))
      }
    }
  }
}

extension Tensor {
  /// Each row of [rows, columns] times its factor.
  fileprivate func scaling(rows factors: [Float]) -> Tensor {
    precondition(factors.count == rows)
    let width = columns
    return Tensor(values.enumerated().map { $1 * factors[$0 / width] }, shape: shape)
  }

  /// Each column of [rows, columns] times its factor.
  fileprivate func scaling(columns factors: [Float]) -> Tensor {
    precondition(factors.count == columns)
    let width = factors.count
    return Tensor(values.enumerated().map { $1 * factors[$0 % width] }, shape: shape)
  }
}
