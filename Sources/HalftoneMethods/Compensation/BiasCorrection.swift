public import HalftoneSchemes
import HalftoneTensor

/// Moves each output of a quantized layer by a constant, so that its mean over the calibration text
/// is the original network's.
///
/// Nagel et al. *Data-Free Quantization Through Weight Equalization and Bias Correction.* ICCV 2019.
/// <https://arxiv.org/abs/1906.04721>
///
/// | Symbol | Code                         | Shape |
/// | ------ | ---------------------------- | ----- |
/// | W, Ŵ   | `original`, `quantized`      | [out, in] |
/// | b, b'  | the layer's bias before and after | [out] |
/// | E[x]   | `originalInputs.mean`        | [in] |
/// | E[x̂]   | `quantizedInputs.mean`       | [in] |
///
/// b' = b + E[W·x] − E[Ŵ·x̂], x from the original network and x̂ from the one quantized so far.
///
/// Where this differs from the paper: the means are measured on text and not derived from batch
/// normalisation, which these networks do not have; layers that had no bias get one.
public struct BiasCorrection: Compensator {
  public static let name = "bias-correction"
  public static let summary =
    "Adds a bias that gives every output of a layer the mean it has in the original network."
  public static let citation =
    "Nagel et al. Data-Free Quantization Through Weight Equalization and Bias Correction. "
    + "ICCV 2019. https://arxiv.org/abs/1906.04721"
  public static let needsCalibration = true

  public init() {}

  public var inputsNeeded: InputKnowledge { [.original, .quantized] }

  /// A float for each output.
  public func extraBytes(_ scheme: LayerScheme, rows: Int, columns: Int) -> Int { 4 * rows }

  public func compensate(_ problem: CompensationProblem) throws -> Compensation {
    guard let x = problem.originalInputs?.mean, let xHat = problem.quantizedInputs?.mean else {
      throw MethodError("\(problem.name): bias-correction needs the means of the layer's inputs")
    }
    let original = Self.means(problem.originalWeights, x)  // E[W·x]
    let quantized = Self.means(problem.quantizedWeights, xHat)  // E[Ŵ·x̂]
    let b = problem.originalBias?.values
    let current = problem.bias?.values
    let shift = original.indices.map { i in
      Float(original[i] - quantized[i] + Double(b?[i] ?? 0) - Double(current?[i] ?? 0))
    }
    guard shift.allSatisfy(\.isFinite) else {
      throw MethodError("\(problem.name): the mean of an output is not a number; check the text")
    }
    return Compensation(bias: Tensor(shift))
  }

  /// W·E[x] in `Double`.
  private static func means(_ weights: Tensor, _ x: [Double]) -> [Double] {
    weights.withElements { w in
      (0..<weights.rows).map { row in
        (0..<x.count).reduce(0) { $0 + Double(w[row * x.count + $1]) * x[$1] }
      }
    }
  }
}
