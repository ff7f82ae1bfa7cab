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
        "the model's logits are not finite; its weights are damaged or a layer overflowed",
        isModelFault: true)
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
      kept = nucleus(topP, of: logits, largest)
    } else if let minP = options.minP, minP > 0 {
      let threshold = Double(largest) + options.temperature * log(minP)
      kept = weighted(logits.indices.filter { Double(logits[$0]) >= threshold - 1e-3 })
    } else {
      return weighted(logits.indices)
    }
    guard let minP = options.minP else { return kept }
    return kept.filter { $0.weight >= minP }
  }

  /// As many of the likeliest tokens as reach `topP`.
  ///
  /// Tokens are put into bins by their logits; only the bin where the sum passes `topP` is sorted.
  private func nucleus(_ topP: Double, of logits: [Float], _ largest: Float) -> [Weighted] {
    let weights = logits.map { weight($0, largest) }
    let scale = Double(Self.bins) / 50
    func bin(_ logit: Float) -> Int {
      let exponent = (Double(largest) - Double(logit)) / options.temperature
      return Int(min(exponent * scale, Double(Self.bins - 1)))
    }
    var sums = [Double](repeating: 0, count: Self.bins)
    for (logit, weight) in zip(logits, weights) { sums[bin(logit)] += weight }
    let target = topP * sums.reduce(0, +)
    var sum = 0.0
    let last = sums.firstIndex { weight in
      defer { sum += weight }
      return sum + weight >= target
    }
    guard let last else { return logits.indices.map { Weighted(id: $0, weight: weights[$0]) } }
    sum = sums[..<last].reduce(0, +)
    var kept: [Weighted] = []
    var edge: [Weighted] = []
    for (id, logit) in logits.enumerated() where bin(logit) <= last {
      let candidate = Weighted(id: id, weight: weights[id])
      if bin(logit) < last { kept.append(candidate) } else { edge.append(candidate) }
    }
    edge.sort { logits[$0.id] != logits[$1.id] ? logits[$0.id] > logits[$1.id] : $0.id < $1.id }
    for candidate in edge where sum < target {
      kept.append(candidate)
      sum += candidate.weight
    }
    return kept
  }

  /// Bins of logits within which weights are above zero.
  private static let bins = 4096

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
