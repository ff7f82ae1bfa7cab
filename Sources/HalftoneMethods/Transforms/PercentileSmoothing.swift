package import HalftoneLayers
public import HalftoneSchemes
import HalftoneTensor

/// Brings the few largest input channels down to a percentile of all, and makes up for it in the weights.
///
/// Zhang et al. *Dual Grained Quantization: Efficient Fine-Grained Quantization for LLM.* 2023.
/// <https://arxiv.org/abs/2310.04836>, percentile clipping smoothing; numbers as in the authors' code.
///
/// | Paper, code | Here                                                        | Shape |
/// | ----------- | ----------------------------------------------------------- | ----- |
/// | a           | max |X_·j| over the samples                                  | [in]  |
/// | b           | the n-th largest of a, n = ⌊`share`·in + 1.5⌋                |       |
/// | σ           | max(1, a/b)                                                 | [in]  |
///
/// What makes channel j is divided by σ_j, and the columns of what reads it are multiplied: the function stays.
/// Unlike SmoothQuant's powers, which move all channels a little, this moves some 0.5 % all the way.
public struct PercentileSmoothing: ModelTransform, Equatable {
  public static let name = "percentile-smoothing"
  public static let summary =
    "Brings the largest half percent of input channels down to the others, and their weights up."
  public static let citation =
    "Zhang et al. Dual Grained Quantization: Efficient Fine-Grained Quantization for LLM. 2023. "
    + "https://arxiv.org/abs/2310.04836"
  public static let needsCalibration = true

  /// The share of channels that are outliers.
  public var share: Float = 0.005
  /// The inputs of q, k, v and of gate, up.
  public var norms = true
  /// The inputs of down.
  public var feedForward = true
  /// The inputs of o, which the authors' code leaves alone.
  public var values = false

  public init() {}

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    guard share >= 0, share < 1 else {
      throw SchemeError("percentile-smoothing: share is \(share); use 0 to below 1")
    }
  }

  public func transform(_ problem: BlockProblem) throws -> TransformedBlock {
    var result = TransformedBlock(block: problem.block)
    let sites = problem.block.scalingSites.filter { site in
      let isWanted =
        switch problem.block.kind(of: site) {
        case .norm: norms
        case .values: values
        case .feedForward: feedForward
        }
      return isWanted
        && site.linears.allSatisfy { problem.schemes[$0]?.weights != nil }
        && site.consumers.contains { problem.schemes[$0]?.inputs != nil }
    }
    for (site, maxima) in try problem.channelMaxima(of: sites) {
      guard let factors = factors(at: site, maxima) else { continue }
      result.block.rescale(site, by: factors)
      result.note(site)
    }
    return result
  }

  /// σ for each channel of `site`; nil where all are 1.
  package func factors(at site: ScalingSite, _ maxima: [Float]) -> [Float]? {
    let count = Int(share * Float(maxima.count) + 1.5)
    let sorted = maxima.sorted(by: >)
    guard count >= 1, count <= sorted.count else { return nil }
    let pivot = sorted[count - 1]
    guard pivot.isNormal else { return nil }
    var factors = [Float](repeating: 1, count: site.channels)
    for (source, maximum) in zip(site.sources, maxima) where (maximum / pivot).isFinite {
      factors[source] = max(factors[source], maximum / pivot)
    }
    return factors.contains { $0 > 1 } ? factors : nil
  }
}
