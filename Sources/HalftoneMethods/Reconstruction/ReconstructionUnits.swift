public import HalftoneLayers
public import HalftoneTensor

// Parts of a network other than a block that can be reconstructed: each has the shape of a block.

/// One linear layer as a unit.
public struct LayerUnit: TransformerBlock {
  public var linear: Linear

  public init(_ linear: Linear) { self.linear = linear }

  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    linear(x, context)
  }

  public mutating func forEachLinear(_ body: (inout Linear) throws -> Void) rethrows {
    try body(&linear)
  }
}

/// Several blocks in a row as a unit.
public struct BlockSequence: TransformerBlock {
  public var blocks: [any TransformerBlock]

  public init(_ blocks: [any TransformerBlock]) { self.blocks = blocks }

  public func callAsFunction(_ x: Tensor, _ context: ForwardContext) -> Tensor {
    blocks.reduce(x) { $1($0, context) }
  }

  public mutating func forEachLinear(_ body: (inout Linear) throws -> Void) rethrows {
    for i in blocks.indices { try blocks[i].forEachLinear(body) }
  }
}
