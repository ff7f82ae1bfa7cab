import Foundation
import HalftoneTensor

/// How the next token is chosen from its logits.
public struct SamplingOptions: Sendable, Equatable {
  /// Logits are divided by it before the softmax; 0 takes the largest logit always.
  public var temperature: Double
  /// Only the k likeliest tokens are drawn from; nil for all.
  public var topK: Int?
  /// Only the likeliest tokens that together reach this probability are drawn from; nil for all.
  public var topP: Double?
  public var seed: UInt64

  public init(temperature: Double = 0, topK: Int? = nil, topP: Double? = nil, seed: UInt64 = 0) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.seed = seed
  }

  /// The largest logit always.
  public static let greedy = SamplingOptions()

  /// - Throws: ``GenerationError`` naming the option that makes no sense.
  func validate() throws(GenerationError) {
    guard temperature >= 0, temperature.isFinite else {
      throw GenerationError("temperature \(temperature) must be a number from 0 on")
    }
    if let topK, topK < 1 { throw GenerationError("top-k \(topK) must be at least 1") }
    if let topP, !(topP > 0 && topP <= 1) {
      throw GenerationError("top-p \(topP) must be above 0 and at most 1")
    }
  }
}

/// Draws tokens; the same options give the same tokens for the same logits.
public struct Sampler: Sendable {
  private let options: SamplingOptions
  private var generator: SeededGenerator

  /// - Throws: ``GenerationError`` if an option makes no sense.
  public init(_ options: SamplingOptions) throws(GenerationError) {
    try options.validate()
    self.options = options
    generator = SeededGenerator(seed: options.seed)
  }

  /// The next token for one row of logits.
  ///
  /// - Throws: ``GenerationError`` if a logit is not a number or all are −∞.
  public mutating func next(_ logits: [Float]) throws(GenerationError) -> Int {
    guard let largest = logits.max(), largest.isFinite, !logits.contains(where: \.isNaN) else {
      throw GenerationError(
        "the model's logits are not finite; its weights are damaged or a layer overflowed")
    }
    guard options.temperature > 0 else { return logits.firstIndex(of: largest) ?? 0 }
    let candidates = kept(
      logits.enumerated().map { id, logit in
        (id, exp((Double(logit) - Double(largest)) / options.temperature))
      })
    return draw(candidates)
  }

  /// The candidates that top-k and then top-p leave; weights need not add up to 1.
  private func kept(_ all: [(id: Int, weight: Double)]) -> [(id: Int, weight: Double)] {
    guard options.topK != nil || options.topP != nil else { return all }
    // Equal weights in the order of ids, so that the choice is defined.
    let sorted = all.sorted { $0.weight != $1.weight ? $0.weight > $1.weight : $0.id < $1.id }
    let likeliest = sorted.prefix(options.topK ?? sorted.count)
    guard let topP = options.topP else { return Array(likeliest) }
    let needed = topP * likeliest.reduce(0) { $0 + $1.weight }
    var sum = 0.0
    let count = likeliest.prefix { candidate in
      defer { sum += candidate.weight }
      return sum < needed
    }.count
    return Array(likeliest.prefix(max(1, count)))
  }

  private mutating func draw(_ candidates: [(id: Int, weight: Double)]) -> Int {
    let total = candidates.reduce(0) { $0 + $1.weight }
    var remaining = Double(generator.next() >> 11) * 0x1p-53 * total
    for candidate in candidates {
      remaining -= candidate.weight
      if remaining < 0 { return candidate.id }
    }
    return candidates.last(where: { $0.weight > 0 })?.id ?? 0
  }
}
