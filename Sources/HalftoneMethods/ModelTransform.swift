public import HalftoneLayers
public import HalftoneTensor

/// Turns a block into another one that is easier to quantize, before the method sees it.
public protocol ModelTransform: RecipeStep {
  /// The block that is quantized in the place of `problem.block`.
  ///
  /// It has the same layers, of the same names and shapes. The problem's targets stay those of the
  /// untouched block.
  /// - Throws: what `problem.report` throws, to stop; `MethodError` if the numbers do not allow it.
  func transform(_ problem: BlockProblem) throws -> TransformedBlock
}

/// What a transform makes of a block.
public struct TransformedBlock: Sendable {
  public var block: any TransformerBlock
  /// Changed tensors that are not weights of linear layers, by their names in the checkpoint; `block`
  /// holds them already.
  public var parameters: [String: Tensor]
  /// What the report must say.
  public var warnings: [String]

  public init(
    block: any TransformerBlock, parameters: [String: Tensor] = [:], warnings: [String] = []
  ) {
    self.block = block
    self.parameters = parameters
    self.warnings = warnings
  }
}
