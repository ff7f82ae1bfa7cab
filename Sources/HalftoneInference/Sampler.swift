import Foundation
import HalftoneTensor

/// Draws tokens; the same options give the same tokens for the same logits.
public struct Sampler: Sendable {
  private let options: SamplingOptions
  private var generator: SeededGenerator
  private var recent: RecentTokens

  /// A sampler for what follows `prompt`, which only the repetition penalty looks at.
  ///
  /// - Throws: ``GenerationError`` if an option makes no sense.
  public init(_ options: SamplingOptions, after prompt: [Int] = []) throws(GenerationError) {
    try options.validate()
    self.options = options
    generator = SeededGenerator(seed: options.seed)
    recent = RecentTokens(window: options.repetitionWindow)
    guard options.repetitionPenalty != 1 else { return }
    for id in prompt { recent.append(id) }
  }

  /// The next token for one row of logits.
  ///
  /// - Throws: ``GenerationError`` if a logit is not a number or all are −∞.
  public mutating func next(_ logits: [Float]) throws(GenerationError) -> Int {
    guard options.repetitionPenalty != 1 else { return try choose(logits) }
    let id = try choose(penalized(logits))
    recent.append(id)
    return id
  }

  private func penalized(_ logits: [Float]) -> [Float] {
    var logits = logits
    let penalty = Float(options.repetitionPenalty)
    for id in recent.ids where logits.indices.contains(id) {
      logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty
    }
    return logits
  }

  private mutating func choose(_ logits: [Float]) throws(GenerationError) -> Int {
    let largest = logits.withUnsafeBufferPointer { Kernels.extrema($0).maximum }
    guard largest.isFinite else {
      throw GenerationError(
        "the model's logits are not finite; its weights are damaged or a layer overflowed")
    }
    guard options.temperature > 0 else { return logits.firstIndex(of: largest) ?? 0 }
    return draw(candidates(logits, largest))
  }

  // MARK: - Drawing

  private struct Weighted {
    let id: Int
    /// The probability divided by that of the likeliest token.
    let weight: Double
  }

  /// e^((logit − largest) / temperature); 0 where it would not change a sum of 2²⁰ of them.
  private func weight(_ logit: Float, _ largest: Float) -> Double {
    let exponent = (Double(logit) - Double(largest)) / options.temperature
    return exponent > -50 ? Double(exp(Float(exponent))) : 0
  }

  /// The tokens to draw from.
  private func candidates(_ logits: [Float], _ largest: Float) -> [Weighted] {
    func weighted(_ ids: some Sequence<Int>) -> [Weighted] {
      ids.map { Weighted(id: $0, weight: weight(logits[$0], largest)) }
    }
    let kept: [Weighted]
    if let topK = options.topK {
      let likeliest = weighted(LargestLogits.ids(topK, of: logits))
      kept = nucleus(likeliest, of: likeliest.reduce(0) { $0 + $1.weight }) ?? likeliest
    } else if let topP = options.topP, topP < 1 {
      kept = nucleus(of: logits, largest, weighted)
    } else if let minP = options.minP, minP > 0 {
      let threshold = Double(largest) + options.temperature * log(minP)
      kept = weighted(logits.indices.filter { Double(logits[$0]) >= threshold - 1e-3 })
    } else {
      return weighted(logits.indices)
    }
    guard let minP = options.minP else { return kept }
    return kept.filter { $0.weight >= minP }
  }

  /// As many of the likeliest tokens as reach top-p, without sorting the others.
  private func nucleus(
    of logits: [Float], _ largest: Float, _ weighted: ([Int]) -> [Weighted]
  ) -> [Weighted] {
    let total = logits.reduce(0) { $0 + weight($1, largest) }
    var count = min(256, logits.count)
    while true {
      let likeliest = weighted(LargestLogits.ids(count, of: logits))
      if let found = nucleus(likeliest, of: total) { return found }
      guard count < logits.count else { return likeliest }
      count = min(count * 8, logits.count)
    }
  }

  /// The first of `sorted` that together reach top-p of `total`; nil if all together do not.
  private func nucleus(_ sorted: [Weighted], of total: Double) -> [Weighted]? {
    guard let topP = options.topP else { return sorted }
    var sum = 0.0
    for (index, candidate) in sorted.enumerated() {
      sum += candidate.weight
      if sum >= topP * total { return Array(sorted[...index]) }
    }
    return nil
  }

  private mutating func draw(_ candidates: [Weighted]) -> Int {
    let total = candidates.reduce(0) { $0 + $1.weight }
    var remaining = Double(generator.next() >> 11) * 0x1p-53 * total
    for candidate in candidates {
      remaining -= candidate.weight
      if remaining < 0 { return candidate.id }
    }
    return candidates.last(where: { $0.weight > 0 })?.id ?? 0
  }
}

/// The tokens of a sliding window.
private struct RecentTokens: Sendable {
  let window: Int?
  private var history: [Int] = []
  private var counts: [Int: Int] = [:]

  init(window: Int?) { self.window = window }

  var ids: some Sequence<Int> { counts.keys }

  mutating func append(_ id: Int) {
    history.append(id)
    counts[id, default: 0] += 1
    guard let window, history.count > window else { return }
    let leaving = history[history.count - 1 - window]
    let left = counts[leaving, default: 0] - 1
    counts[leaving] = left > 0 ? left : nil
  }
}
