import HalftoneLayers
public import HalftoneSchemes
package import HalftoneTensor

/// Clips the outlying weights of a block and divides its outlying activations, before rounding.
///
/// Ding et al. *CBQ: Cross-Block Quantization for Large Language Models.* ICLR 2025.
/// <https://arxiv.org/abs/2312.07950>: coarse-to-fine preprocessing.
///
/// | Paper   | Code                   |
/// | ------- | ---------------------- |
/// | λ1, λ2  | `coarse`, `fine`       |
/// | T, O, M | `OutlierSplit`         |
/// | s_i     | `factors`              |
///
/// Weights: |w| is clipped to the largest magnitude of its matrix that is not an outlier. Activations:
/// a channel whose maximum is an outlier is divided by s = √(max|X_i| / largest reserved maximum) where
/// it is made, and the layers that read it are multiplied by s, so that the function stays.
///
/// The clipping and s are as others report them; neither has been checked against the paper.
public struct TruncateOutliers: ModelTransform, Equatable {
  public static let name = "truncate-outliers"
  public static let summary =
    "Clips outlying weights and divides outlying activation channels, before rounding."
  public static let citation =
    "Ding et al. CBQ: Cross-Block Quantization for Large Language Models. ICLR 2025. "
    + "https://arxiv.org/abs/2312.07950"

  /// λ1.
  public var coarse: Float = 1.5
  /// λ2.
  public var fine: Float = 1
  /// Whether weights are clipped.
  public var weights = true
  /// Whether channels are divided, where what reads them has its input quantized.
  public var activations = true

  public init() {}

  public static var needsCalibration: Bool { true }
  public var learnsFromText: Bool { activations }

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    guard coarse >= 0, coarse.isFinite, fine >= 0, fine.isFinite else {
      throw SchemeError("truncate-outliers: coarse is \(coarse) and fine \(fine); use 0 or more")
    }
  }

  /// Scales channels of the block, then clips its weights.
  public func transform(_ problem: BlockProblem) throws -> TransformedBlock {
    var result = TransformedBlock(block: problem.block)
    if activations {
      let sites = problem.block.scalingSites.filter { site in
        site.linears.allSatisfy { problem.schemes[$0]?.weights != nil }
          && site.consumers.contains { problem.schemes[$0]?.inputs != nil }
      }
      for (site, maxima) in try problem.channelMaxima(of: sites) {
        guard let factors = factors(at: site, maxima) else { continue }
        result.block.rescale(site, by: factors)
        result.note(site)
      }
    }
    guard weights else { return result }
    result.block.forEachLinear { linear in
      guard problem.schemes[linear.name]?.weights != nil else { return }
      linear.weight = .dense(truncated(linear.weight.dense()))
    }
    return result
  }
}

extension TransformedBlock {
  /// Enters what rescaling `site` changed besides weights.
  mutating func note(_ site: ScalingSite) {
    var changed: [String: Tensor] = [:]
    block.forEachNorm { name, norm in
      if site.producer == .norm(name) { changed["\(name).weight"] = norm.weight }
    }
    for linear in block.linears where site.producer == .linear(linear.name) {
      changed["\(linear.name).bias"] = linear.bias
    }
    parameters.merge(changed) { $1 }
  }
}

extension TruncateOutliers {
  /// `weights` with |w| at most the largest magnitude that is not an outlier.
  package func truncated(_ weights: Tensor) -> Tensor {
    let split = OutlierSplit(weights.values.map(Swift.abs), coarse: coarse, fine: fine)
    guard let split, split.outliers > 0 else { return weights }
    return weights.clamped(to: -split.largestReserved...split.largestReserved)
  }

  /// s for each channel of `site`, 1 where it is no outlier; nil if none is.
  func factors(at site: ScalingSite, _ maxima: [Float]) -> [Float]? {
    guard let split = OutlierSplit(maxima, coarse: coarse, fine: fine), split.outliers > 0,
      split.largestReserved > 0
    else { return nil }
    var factors = [Float](repeating: 1, count: site.channels)
    for (source, maximum) in zip(site.sources, maxima) where maximum > split.largestReserved {
      factors[source] = max(factors[source], (maximum / split.largestReserved).squareRoot())
    }
    return factors
  }
}
