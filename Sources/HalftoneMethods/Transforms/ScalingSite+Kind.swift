import HalftoneLayers
import HalftoneTensor

/// Where in a block channels are scaled.
enum ScalingSiteKind {
  /// The inputs of q, k, v and of gate, up.
  case norm
  /// The inputs of o.
  case values
  /// The inputs of down.
  case feedForward
}

extension TransformerBlock {
  func kind(of site: ScalingSite) -> ScalingSiteKind {
    guard case .linear(let producer) = site.producer else { return .norm }
    // The rows of v make the inputs of o, those of up the inputs of down.
    let order = linears.map(\.name)
    let isFirst = order.firstIndex(of: producer).map { $0 < order.count / 2 } ?? false
    return isFirst ? .values : .feedForward
  }
}

extension BlockProblem {
  /// max |X| of each input channel of `sites`, over the samples to learn from in the original network.
  ///
  /// - Throws: what ``report`` throws, to stop.
  func channelMaxima(of sites: [ScalingSite]) throws -> [(ScalingSite, [Float])] {
    guard !sites.isEmpty else { return [] }
    var maxima: [String: [Float]] = [:]
    for i in training {
      var context = makeContext(1)
      context.observe = { name, input in
        guard sites.contains(where: { $0.consumers[0] == name }) else { return }
        maxima[name] = input.columnMaxima(above: maxima[name])
      }
      _ = block(original.samples(i..<i + 1), context)
      try report(BlockProgress(fraction: 0))
    }
    return sites.compactMap { site in maxima[site.consumers[0]].map { (site, $0) } }
  }
}

extension Tensor {
  /// The largest |x| of each column, and of `others`.
  fileprivate func columnMaxima(above others: [Float]?) -> [Float] {
    var result = others ?? [Float](repeating: 0, count: columns)
    withElements { x in
      for row in 0..<rows {
        for j in result.indices { result[j] = max(result[j], abs(x[row * result.count + j])) }
      }
    }
    return result
  }
}
