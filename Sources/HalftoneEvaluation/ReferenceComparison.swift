/// How far a model's predictions are from a reference's, over all predicted tokens.
public struct ReferenceComparison: Sendable, Equatable, Codable {
  /// The reference's own perplexity on the same tokens.
  public let perplexity: Double
  /// KL(reference‖model) in nats.
  public let klMean: Double
  public let klMedian: Double
  public let klP99: Double
  public let klMax: Double
  /// The share of tokens for which both find the same token likeliest.
  public let top1Agreement: Double

  private enum CodingKeys: String, CodingKey {
    case perplexity
    case klMean = "kl_mean"
    case klMedian = "kl_median"
    case klP99 = "kl_p99"
    case klMax = "kl_max"
    case top1Agreement = "top1_agreement"
  }

  /// Collects one divergence a token.
  struct Accumulator {
    private var divergences: [Double] = []
    private var agreements = 0

    mutating func add(_ divergence: Double, agrees: Bool) {
      divergences.append(divergence)
      agreements += agrees ? 1 : 0
    }

    func result(perplexity: Double) -> ReferenceComparison {
      let sorted = divergences.sorted()
      let count = Double(max(1, sorted.count))
      return ReferenceComparison(
        perplexity: perplexity, klMean: divergences.reduce(0, +) / count,
        klMedian: quantile(0.5, sorted), klP99: quantile(0.99, sorted), klMax: sorted.last ?? 0,
        top1Agreement: Double(agreements) / count)
    }
  }
}

/// The value below which a share of the sorted values lies, interpolated between neighbours.
func quantile(_ share: Double, _ sorted: [Double]) -> Double {
  guard let last = sorted.last else { return 0 }
  let position = share * Double(sorted.count - 1)
  let below = Int(position)
  guard below + 1 < sorted.count else { return last }
  return sorted[below] + (position - Double(below)) * (sorted[below + 1] - sorted[below])
}
