package import HalftoneLayers
package import HalftoneTensor

extension OutputHead {
  /// The mean over tokens of KL(p ‖ q), p predicted from `target` and q from `output`, both
  /// [tokens, hidden] and the logits divided by `temperature`; `target` takes no gradient.
  ///
  /// Some tokens at a time: logits are many times as large as what they come from.
  package func divergence(
    of output: Tensor, from target: Tensor, temperature: Float = 1, tokensAtOnce: Int
  ) -> Tensor {
    output.summed(byRows: tokensAtOnce) { piece, rows in
      var (q, p) = (self(piece), self(target.view(rows)))
      if temperature != 1 { (q, p) = (q * (1 / temperature), p * (1 / temperature)) }
      return q.klDivergence(from: p) * (Float(rows.count) / Float(output.rows))
    }
  }
}

/// How many tokens' logits are held at a time.
package enum LogitChunks {
  /// 8 MiB of logits, which caches hold, and no fewer tokens than make a matrix product worth preparing
  /// the head's weight for.
  package static func tokens(vocabulary: Int) -> Int { max(256, (1 << 21) / max(1, vocabulary)) }
}
