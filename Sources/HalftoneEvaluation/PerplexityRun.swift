import Foundation
import HalftoneLayers
import HalftoneTensor

/// One measurement: chunks of windows go through all blocks, then through the head slice by slice.
struct PerplexityRun {
  let model: MeasuredModel
  let reference: MeasuredModel?
  let ids: [Int]
  let context: Int
  let windows: Int

  /// What has been added up so far.
  private struct Sums {
    /// Σ −ln p of each window.
    var own: [Double]
    var reference: [Double]
    var comparison = ReferenceComparison.Accumulator()
  }

  func result(
    activationBytes: Int, progress: (Double) throws -> Void
  ) throws -> PerplexityResult {
    var sums = Sums(own: .init(repeating: 0, count: windows), reference: [])
    let head = try model.head()
    let referenceHead = try reference?.head()
    if reference != nil { sums.reference = sums.own }
    let streams = reference == nil ? 1 : 2
    let rows = BlockwiseForward.rowsPerChunk(model, bytes: activationBytes / streams)
    let chunk = max(1, rows / context)
    for start in stride(from: 0, to: windows, by: chunk) {
      let range = start..<min(start + chunk, windows)
      func report(_ done: Double) throws {
        let share = done / Double(streams) * Double(range.count)
        try progress((Double(start) + share) / Double(windows))
      }
      let batches = batches(range)
      let hidden = try model.hidden(batches, progress: report)
      let other = try reference.map {
        try $0.hidden(batches) { try report(1 + $0) }
      }
      var window = start
      for (i, batch) in batches.enumerated() {
        let pair = referenceHead.flatMap { head in other.map { (head, $0[i]) } }
        add(hidden[i], head, pair, batch, firstWindow: window, &sums)
        window += batch.count
      }
    }
    return try summary(sums)
  }

  private func batches(_ range: Range<Int>) -> [TokenBatch] {
    let size = max(1, BlockwiseForward.rowsPerBatch / context)
    return stride(from: range.lowerBound, to: range.upperBound, by: size).map { start in
      let end = min(start + size, range.upperBound)
      return TokenBatch(ids: Array(ids[start * context..<end * context]), count: end - start)
    }
  }

  /// Adds the scores of one batch.
  ///
  /// The last row of each window predicts nothing: its score, against token 0, is left out.
  private func add(
    _ hidden: Tensor, _ head: any OutputHead, _ reference: (head: any OutputHead, hidden: Tensor)?,
    _ batch: TokenBatch, firstWindow: Int, _ sums: inout Sums
  ) {
    let last = batch.ids.count
    for slice in BlockwiseForward.slices(last, vocabulary: model.vocabularySize) {
      let targets = slice.map { ($0 + 1) % context == 0 ? 0 : batch.ids[$0 + 1] }
      let predicting = slice.filter { ($0 + 1) % context != 0 }
      let logits = head(hidden.view(slice))
      let scores = logits.negativeLogLikelihoods(targets: targets)
      for row in predicting {
        sums.own[firstWindow + row / context] += scores[row - slice.lowerBound]
      }
      guard let reference else { continue }
      let other = reference.head(reference.hidden.view(slice))
      let otherScores = other.negativeLogLikelihoods(targets: targets)
      let divergences = logits.klDivergences(from: other)
      let (choices, otherChoices) = (logits.largestIndices(), other.largestIndices())
      for row in predicting {
        let i = row - slice.lowerBound
        sums.reference[firstWindow + row / context] += otherScores[i]
        sums.comparison.add(divergences[i], agrees: choices[i] == otherChoices[i])
      }
    }
  }

  private func summary(_ sums: Sums) throws(EvaluationError) -> PerplexityResult {
    let (mean, perplexity) = try average(sums.own, "the model")
    var comparison: ReferenceComparison?
    if reference != nil {
      let (_, other) = try average(sums.reference, "the reference")
      comparison = sums.comparison.result(perplexity: other)
    }
    let perWindow = sums.own.map { $0 / Double(context - 1) }
    return PerplexityResult(
      tokens: windows * (context - 1), windows: windows, negativeLogLikelihood: mean,
      perplexity: perplexity, standardError: standardError(perWindow).map { $0 * perplexity },
      reference: comparison)
  }

  private func average(
    _ sums: [Double], _ name: String
  ) throws(EvaluationError) -> (mean: Double, perplexity: Double) {
    if let window = sums.firstIndex(where: { !$0.isFinite }) {
      throw EvaluationError(
        "\(name) gives logits that are not numbers in window \(window) (tokens "
          + "\(window * context)..<\((window + 1) * context)); its weights are damaged or a layer "
          + "overflowed")
    }
    let mean = sums.reduce(0, +) / Double(windows * (context - 1))
    return (mean, min(exp(mean), .greatestFiniteMagnitude))
  }
}

/// s/√n, with s the sample standard deviation; nil for fewer than two values.
func standardError(_ values: [Double]) -> Double? {
  guard values.count > 1 else { return nil }
  let n = Double(values.count)
  let mean = values.reduce(0, +) / n
  let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
  return (squares / (n - 1) / n).squareRoot()
}
