package import HalftoneTensor

extension LayerErrors {
  /// One layer of the original network, and candidates that see inputs of their own.
  package struct Pairs {
    package struct Candidate {
      let weight: Tensor
      let bias: Tensor?
      /// Which of the observed inputs it sees; the original layer sees the first.
      let source: Int

      package init(weight: Tensor, bias: Tensor?, source: Int) {
        self.weight = weight
        self.bias = bias
        self.source = source
      }
    }

    let weight: Tensor
    let bias: Tensor?
    let candidates: [Candidate]

    package init(weight: Tensor, bias: Tensor?, candidates: [Candidate]) {
      self.weight = weight
      self.bias = bias
      self.candidates = candidates
    }
  }

  /// ‖Y − Ŷ‖²/‖WX‖² with Y = WX + b of the original layer, and Ŷ of each candidate on its own inputs.
  ///
  /// `observe` shows the inputs of all sources side by side, piece by piece.
  package static func measure(
    _ layers: [String: Pairs],
    observe: (_ body: @escaping (_ layer: String, _ inputs: [Tensor]) -> Void) -> Void
  ) -> Result {
    var sums: [String: (reference: Double, errors: [Double])] = [:]
    var largest: [String: [Float]] = [:]
    observe { name, inputs in
      guard let layer = layers[name], let first = inputs.first, let last = inputs.last else {
        return
      }
      var sum = sums[name] ?? (0, layer.candidates.map { _ in 0 })
      let product = first.linear(layer.weight)
      let y = layer.bias.map { product.addingRow($0) } ?? product
      sum.reference += sumOfSquares(product)
      for (i, candidate) in layer.candidates.enumerated() {
        let product = inputs[candidate.source].linear(candidate.weight)
        sum.errors[i] += sumOfSquares(y - (candidate.bias.map { product.addingRow($0) } ?? product))
      }
      sums[name] = sum
      noteMagnitudes(of: last, in: &largest[name, default: []])
    }
    var result = Result()
    for (name, sum) in sums {
      result.errors[name] = sum.errors.map { ratio($0, sum.reference) }
      result.zeroChannels[name] = largest[name]?.count { $0 == 0 }
    }
    return result
  }

  /// ‖W−Ŵ‖²/‖W‖².
  static func relative(_ candidate: Tensor, to weight: Tensor) -> Double {
    ratio(sumOfSquares(weight - candidate), sumOfSquares(weight))
  }
}
