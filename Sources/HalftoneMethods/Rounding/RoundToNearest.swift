public import HalftoneSchemes
import HalftoneLayers
public import HalftoneTensor

/// Gives each weight the nearest point of its layer's grid.
///
/// code = clamp(round(w/s) + z, low, high), ties to even; the grid comes from the scheme's range rule.
public struct RoundToNearest: QuantizationMethod {
  public static let name = "rtn"
  public static let summary = "Round to nearest: each weight takes the nearest point of its grid."
  public static let citation = "The common baseline; ranges by min-max or min-MSE (p = 2.4)."
  public static let needsCalibration = false

  public init() {}

  public func solve(_ problem: BlockProblem) throws -> BlockSolution {
    var layers: [String: LayerSolution] = [:]
    let inputs = try InputCalibration.quantizers(for: problem)
    for linear in problem.block.linears {
      guard let weights = problem.schemes[linear.name]?.weights else { continue }
      layers[linear.name] = LayerSolution(
        weight: try Self.quantize(linear.weight.dense(), weights),
        inputs: inputs[linear.name])
      try problem.report(BlockProgress(fraction: 1))
    }
    return BlockSolution(layers: layers)
  }

  /// `weights` [out, in] rounded to the grids that `scheme` gives them.
  public static func quantize(_ weights: Tensor, _ scheme: WeightScheme) throws -> QuantizedTensor {
    try scheme.grids(for: weights).quantize(weights, format: scheme.format)
  }
}
