package import HalftoneLayers
package import HalftoneSchemes
package import HalftoneTensor

/// One block's share of a whole-network training: its layers' variables and their optimiser.
package final class DiscQuantBlock {
  package var layers: [DiscQuantLayer] = []
  private let inputs: [String: InputQuantizer]
  private var adam = Adam()

  package init(
    _ block: any TransformerBlock, _ schemes: [String: LayerScheme], _ method: DiscQuant,
    _ seeds: inout SeededGenerator
  ) throws {
    inputs = schemes.compactMapValues { scheme in
      scheme.inputs.map { .dynamic($0) }
    }
    for linear in block.linears {
      guard let scheme = schemes[linear.name]?.weights else { continue }
      let weights = linear.weight.dense()
      let grids = try scheme.grids(for: weights)
      layers.append(
        try DiscQuantLayer(
          name: linear.name, weights,
          CodeGrid(grids, format: scheme.format, shape: weights.shape), method.start,
          seed: seeds.next()))
    }
  }

  /// Wₓ of a layer.
  static func soft(_ layer: DiscQuantLayer, _ weights: Tensor) throws -> Tensor {
    try layer.softWeights(weights)
  }

  /// `block` with what `choose` makes of the weights of its layers, as leaves where `tracked`.
  func placed(
    in block: any TransformerBlock, tracked: Bool,
    _ choose: (DiscQuantLayer, Tensor) throws -> Tensor
  ) throws -> RecomputedPass.Step {
    var step = RecomputedPass.Step(block: block, leaves: [])
    try step.block.forEachLinear { linear in
      guard let layer = layers.first(where: { $0.name == linear.name }) else { return }
      var weight = try choose(layer, linear.weight.dense())
      if tracked {
        weight = weight.tracked()
        step.leaves.append(weight)
      }
      linear.weight = .dense(weight)
      linear.inputs = inputs[linear.name]
    }
    return step
  }

  /// Moves all x of the block one step, given the gradients of the loss with respect to Wₓ.
  package func update(
    _ block: any TransformerBlock, _ gradients: [Tensor], _ method: DiscQuant, scale: Float,
    rate: Float
  ) throws {
    var directions: [Tensor] = []
    for (layer, gradient) in zip(layers, gradients) {
      guard let weights = block.weights(of: layer.name) else { continue }
      directions.append(
        try layer.direction(
          weights, gradient, scale: scale, clamp: method.clamp,
          linear: method.linear == .nearest ? 1 : 0))
    }
    var shares = layers.map(\.share)
    for i in layers.indices { layers[i].share = Tensor([]) }
    adam.update(&shares, directions, rate: rate)
    for i in layers.indices { layers[i].share = shares[i].detached.clamped(to: 0...1) }
  }

  /// How many x lie within 0.01 of 0 or 1, of how many.
  var settled: (count: Int, of: Int) {
    layers.reduce((0, 0)) { sum, layer in
      let ends = layer.share.withElements { x in x.count { $0 <= 0.01 || $0 >= 0.99 } }
      return (sum.0 + ends, sum.1 + layer.share.count)
    }
  }
}

extension TransformerBlock {
  /// The weight of the layer `name` as floats.
  func weights(of name: String) -> Tensor? {
    linears.first { $0.name == name }?.weight.dense()
  }
}

/// The rounding variables of one weight matrix, which itself is not kept, but handed in.
package struct DiscQuantLayer {
  package let name: String
  package let grid: CodeGrid
  /// x, the share of the upper neighbour: [out, in], each in 0...1.
  package var share: Tensor
  /// mean (w − nearest)².
  package let nearestError: Double

  package init(
    name: String, _ weights: Tensor, _ grid: CodeGrid, _ start: DiscQuant.Start, seed: UInt64
  ) throws {
    self.name = name
    self.grid = grid
    let (below, step) = try Self.neighbours(weights, grid)
    var generator = SeededGenerator(seed: seed)
    var squares = 0.0
    share = Tensor(shape: weights.shape) { x in
      weights.withElements { w in
        below.withElements { below in
          step.withElements { step in
            for i in x.indices {
              let y = position(w[i], below[i], step[i])
              let nearest: Float = y > 0.5 ? 1 : 0
              let error = Double(w[i] - (below[i] + nearest * step[i]))
              squares += error * error
              switch start {
              case .uniform: x[i] = generator.uniform()
              case .weights: x[i] = y
              case .nearest: x[i] = nearest
              }
            }
          }
        }
      }
    }
    nearestError = squares / Double(max(1, weights.count))
  }

  /// w↓ and w↑ − w↓.
  private static func neighbours(
    _ weights: Tensor, _ grid: CodeGrid
  ) throws -> (below: Tensor, step: Tensor) {
    let codes = grid.neighbours(of: weights)
    let below = try grid.values(codes.below)
    return (below, try grid.values(codes.above) - below)
  }

  /// Wₓ = w↓ + x∘(w↑ − w↓).
  package func softWeights(_ weights: Tensor) throws -> Tensor {
    let (below, step) = try Self.neighbours(weights, grid)
    return below + share * step
  }

  /// d = linear·(1 − 2y) + clip(scale·∂L/∂x, ±clamp), and 0 where the neighbours are one.
  ///
  /// `gradient` is ∂L/∂Wₓ, and ∂L/∂x = ∂L/∂Wₓ∘(w↑ − w↓).
  package func direction(
    _ weights: Tensor, _ gradient: Tensor, scale: Float, clamp: Float, linear: Float
  ) throws -> Tensor {
    let (below, step) = try Self.neighbours(weights, grid)
    return Tensor(shape: weights.shape) { out in
      weights.withElements { w in
        gradient.withElements { g in
          below.withElements { below in
            step.withElements { step in
              parallelRanges(out.count, grain: 1 << 14) { range in
                for i in range {
                  let pull = min(max(scale * g[i] * step[i], -clamp), clamp)
                  let y = position(w[i], below[i], step[i])
                  out[i] = step[i] > 0 ? linear * (1 - 2 * y) + pull : 0
                }
              }
            }
          }
        }
      }
    }
  }

  /// The codes that x rounds to: those above where x > ½.
  package func codes(_ weights: Tensor) -> Tensor {
    let neighbours = grid.neighbours(of: weights)
    return share.withElements { x in Self.pick(neighbours) { x[$0] > 0.5 } }
  }

  /// The codes of the nearer neighbours.
  func nearestCodes(_ weights: Tensor) throws -> Tensor {
    let neighbours = grid.neighbours(of: weights)
    let below = try grid.values(neighbours.below)
    let step = try grid.values(neighbours.above) - below
    return weights.withElements { w in
      below.withElements { below in
        step.withElements { step in
          Self.pick(neighbours) { position(w[$0], below[$0], step[$0]) > 0.5 }
        }
      }
    }
  }

  private static func pick(_ codes: NeighbouringCodes, above: (Int) -> Bool) -> Tensor {
    Tensor(shape: codes.below.shape, elementType: .int8) { out in
      let out = out.bindMemory(to: Int8.self)
      codes.below.withBytes { low in
        codes.above.withBytes { high in
          let (low, high) = (low.bindMemory(to: Int8.self), high.bindMemory(to: Int8.self))
          for i in out.indices { out[i] = above(i) ? high[i] : low[i] }
        }
      }
    }
  }
}

/// y = (w − w↓)/(w↑ − w↓), ½ where the neighbours are one.
private func position(_ w: Float, _ below: Float, _ step: Float) -> Float {
  step > 0 ? (w - below) / step : 0.5
}
