import HalftoneLayers
public import HalftoneSchemes
import HalftoneTensor

/// Gives a block channels far larger than the others without changing its function.
///
/// Large language models have a few input channels whose values are tens of times the others' (Dettmers et
/// al. *LLM.int8().* NeurIPS 2022. <https://arxiv.org/abs/2208.07339>, section 4); small ones do not.
/// Methods against such outliers can be tried on small models with channels made large on purpose: what
/// makes the channel is multiplied by κ, the columns of the layers that read it are divided by κ. With κ a
/// power of two that is exact.
public struct InjectOutliers: ModelTransform, Equatable {
  public static let name = "inject-outliers"
  public static let summary =
    "Makes a few channels large where they are made and small where they are read, to try methods on."
  public static let citation =
    "Dettmers et al. LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale. NeurIPS 2022. "
    + "https://arxiv.org/abs/2208.07339"

  /// κ.
  public var factor: Float = 64
  /// How many channels of each site.
  public var channels = 3
  /// The inputs of q, k, v and of gate, up: the same channels in all blocks.
  public var norms = true
  /// The inputs of down.
  public var feedForward = false
  /// The inputs of o.
  public var values = false

  public init() {}

  enum CodingKeys: String, CodingKey {
    case factor, channels, norms, values
    case feedForward = "feed-forward"
  }

  public static var usesSeed: Bool { true }

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    guard factor > 0, factor.isNormal, abs(factor.exponent) <= 30 else {
      throw SchemeError("inject-outliers: factor is \(factor); use 2^-30 to 2^30")
    }
    guard channels > 0, channels <= columns else {
      throw SchemeError("inject-outliers: channels is \(channels); use 1 to \(columns)")
    }
  }

  public func transform(_ problem: BlockProblem) throws -> TransformedBlock {
    var result = TransformedBlock(block: problem.block)
    let sites = problem.block.scalingSites.filter { site in
      isWanted(site, in: problem.block)
        && site.linears.allSatisfy { problem.schemes[$0]?.weights != nil }
    }
    guard !sites.isEmpty else {
      throw MethodError(
        "inject-outliers: no site where all layers are quantized; quantize them, or turn on another site"
      )
    }
    for site in sites {
      // A seed of its own for each width, so that norms of all blocks have the same channels.
      var generator = SeededGenerator(seed: problem.seed &+ UInt64(site.channels))
      var factors = [Float](repeating: 1, count: site.channels)
      for channel in generator.draw(min(channels, site.channels), from: 0..<site.channels) {
        factors[channel] = 1 / factor
      }
      result.block.rescale(site, by: factors)
      result.note(site)
    }
    result.warnings.append(
      "inject-outliers: \(channels) channels of \(sites.count) sites are \(factor) times as large, on purpose"
    )
    return result
  }

  private func isWanted(_ site: ScalingSite, in block: any TransformerBlock) -> Bool {
    switch block.kind(of: site) {
    case .norm: norms
    case .values: values
    case .feedForward: feedForward
    }
  }
}
