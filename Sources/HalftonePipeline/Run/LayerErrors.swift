import HalftoneLayers
import HalftoneMethods
package import HalftoneSchemes
package import HalftoneTensor

/// Relative output errors of the layers of one block on held-out inputs.
package struct LayerErrors {
  /// One layer's candidates against its original weight.
  package struct Candidates {
    var weight: Tensor
    /// Ŵ of each candidate: plain range, the scheme's range, the method.
    var rounded: [Tensor]

    package init(weight: Tensor, rounded: [Tensor]) {
      self.weight = weight
      self.rounded = rounded
    }
  }

  /// ‖(W−Ŵ)X‖²/‖WX‖² for each candidate of each layer, and what was seen of the inputs.
  package struct Result {
    package var errors: [String: [Double]] = [:]
    package var zeroChannels: [String: Int] = [:]
  }

  /// Measures on the inputs that `observe` shows as it runs the block, piece by piece.
  package static func measure(
    _ layers: [String: Candidates],
    observe: (_ body: @escaping (_ layer: String, _ input: Tensor) -> Void) -> Void
  ) -> Result {
    var sums: [String: (reference: Double, errors: [Double])] = [:]
    var largest: [String: [Float]] = [:]
    let differences = layers.mapValues { layer in layer.rounded.map { layer.weight - $0 } }
    observe { name, input in
      guard let layer = layers[name], let differences = differences[name] else { return }
      var sum = sums[name] ?? (0, differences.map { _ in 0 })
      sum.reference += sumOfSquares(input.linear(layer.weight))
      for (i, difference) in differences.enumerated() {
        sum.errors[i] += sumOfSquares(input.linear(difference))
      }
      sums[name] = sum
      noteMagnitudes(of: input, in: &largest[name, default: []])
    }
    var result = Result()
    for (name, sum) in sums {
      result.errors[name] = sum.errors.map { ratio($0, sum.reference) }
      result.zeroChannels[name] = largest[name]?.count { $0 == 0 }
    }
    return result
  }

  /// ‖W−Ŵ‖²/‖W‖² for each candidate: what can be said without activations.
  package static func onWeights(_ weight: Tensor, _ candidates: [QuantizedTensor]) -> [Double] {
    let reference = sumOfSquares(weight, grain: max(1, (1 << 15) / weight.columns) * weight.columns)
    var errors: [Double] = []
    for (i, candidate) in candidates.enumerated() {
      // For plain rounding the candidates are one and the same.
      let same = candidates[..<i].firstIndex { $0.codes.sharesElements(with: candidate.codes) }
      errors.append(same.map { errors[$0] } ?? ratio(squaredDistance(weight, candidate), reference))
    }
    return errors
  }

  /// ‖W−Ŵ‖², some rows at a time, so that Ŵ is never whole in memory.
  private static func squaredDistance(_ weight: Tensor, _ candidate: QuantizedTensor) -> Double {
    let (rows, columns) = (weight.rows, weight.columns)
    let grain = max(1, (1 << 15) / columns)
    guard let table = candidate.gridTable, candidate.outliers == nil else {
      return sumOfSquares(weight - candidate.dequantized())
    }
    var sums = [Double](repeating: 0, count: (rows + grain - 1) / grain)
    sums.withUnsafeMutableBufferPointer { sums in
      weight.withElements { w in
        candidate.codes.withBytes { bytes in
          let codes = bytes.bindMemory(to: Int8.self)
          parallelRanges(rows, grain: grain) { range in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { values in
              table.forEachRun(rows: range, columns: columns) { grid, _, run in
                let values = UnsafeMutableBufferPointer(rebasing: values[..<run.count])
                Kernels.dequantize(UnsafeBufferPointer(rebasing: codes[run]), grid, values)
                let part = Kernels.squaredDistance(
                  UnsafeBufferPointer(rebasing: w[run]), UnsafeBufferPointer(values))
                sums[range.lowerBound / grain] += Double(part)
              }
            }
          }
        }
      }
    }
    return sums.reduce(0, +)
  }

  /// A layer whose outputs are all zero has no error if it has none in absolute terms.
  static func ratio(_ error: Double, _ reference: Double) -> Double {
    error == 0 ? 0 : reference > 0 ? error / reference : 1
  }

  /// By ranges of fixed length, added in order in `Double`: the same for any number of threads.
  static func sumOfSquares(_ x: Tensor, grain: Int = 1 << 15) -> Double {
    var sums = [Double](repeating: 0, count: (x.count + grain - 1) / grain)
    sums.withUnsafeMutableBufferPointer { sums in
      x.withElements { elements in
        parallelRanges(elements.count, grain: grain) { range in
          let run = UnsafeBufferPointer(rebasing: elements[range])
          sums[range.lowerBound / grain] = Double(Kernels.dot(run, run))
        }
      }
    }
    return sums.reduce(0, +)
  }

  static func noteMagnitudes(of input: Tensor, in largest: inout [Float]) {
    let columns = input.columns
    if largest.isEmpty { largest = [Float](repeating: 0, count: columns) }
    input.withElements { x in
      for row in 0..<input.rows {
        for j in 0..<columns { largest[j] = max(largest[j], abs(x[row * columns + j])) }
      }
    }
  }
}
