import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Every differentiable operation against finite differences; one without a check fails.
@Suite struct OperationGradientTests {
  @Test(arguments: TensorOperation.allCases) func gradientAgreesWithDifferences(
    _ operation: TensorOperation
  ) {
    for seed in UInt64(1)...3 { check(operation, seed) }
  }

  private func random(_ shape: [Int], _ seed: UInt64, _ salt: UInt64 = 0) -> Tensor {
    var generator = SeededGenerator(seed: seed &* 31 &+ salt)
    return .normal(shape: shape, using: &generator)
  }

  private func check(_ operation: TensorOperation, _ seed: UInt64) {
    switch operation {
    case .add, .subtract, .multiply, .scale, .addRow, .exp, .log, .sigmoid, .silu, .siluMultiply,
      .clamp, .sum, .mean:
      checkElementwise(operation, seed)
    case .reshape, .transpose, .rows, .concatenate, .embedding, .matmul, .linear, .mix,
      .summedByRows:
      checkStructure(operation, seed)
    case .softmax, .logSoftmax, .rmsNorm, .rotary, .attention, .squaredError, .crossEntropy,
      .klDivergence:
      checkTransformer(operation, seed)
    case .round, .fakeQuantize, .fakeQuantizeTokens, .flexRound, .adaRound, .signRound,
      .perturbedRound:
      checkRounding(operation, seed)
    }
  }

  private func checkElementwise(_ operation: TensorOperation, _ seed: UInt64) {
    let (a, b) = (random([5, 7], seed), random([5, 7], seed, 1))
    switch operation {
    case .add: checkGradient(at: [a, b], seed: seed) { $0[0] + $0[1] }
    case .subtract: checkGradient(at: [a, b], seed: seed) { $0[0] - $0[1] }
    case .multiply: checkGradient(at: [a, b], seed: seed) { $0[0] * $0[1] }
    case .scale: checkGradient(at: [a], seed: seed) { $0[0] * 2.5 }
    case .addRow:
      checkGradient(at: [a, random([7], seed, 2)], seed: seed) { $0[0].addingRow($0[1]) }
    case .exp: checkGradient(at: [a], seed: seed) { $0[0].exp() }
    case .log:
      checkGradient(at: [(a * a) + Tensor(repeating: 2, shape: a.shape)], seed: seed) {
        $0[0].log()
      }
    case .sigmoid: checkGradient(at: [a], seed: seed) { $0[0].sigmoid() }
    case .silu: checkGradient(at: [a], seed: seed) { $0[0].silu() }
    case .siluMultiply:
      checkGradient(at: [a, b], seed: seed) { .siluMultiply(gate: $0[0], up: $0[1]) }
    case .clamp:
      // Away from the corners, where there is no derivative.
      let x = Tensor(a.values.map { abs(abs($0) - 1) < 0.1 ? 0 : $0 }, shape: a.shape)
      let leaf = x.tracked()
      let g = leaf.clamped(to: -1...1).sum().gradients(of: [leaf])[0]
      #expect(g.values == x.values.map { abs($0) <= 1 ? 1 : 0 })
    case .sum: checkGradient(at: [a], seed: seed) { ($0[0] * $0[0]).sum() }
    case .mean: checkGradient(at: [a], seed: seed) { ($0[0] * $0[0]).mean() }
    default: Issue.record("no check for \(operation)")
    }
  }

  private func checkStructure(_ operation: TensorOperation, _ seed: UInt64) {
    let a = random([6, 4], seed)
    switch operation {
    case .reshape: checkGradient(at: [a], seed: seed) { $0[0].reshaped([3, 8]) }
    case .transpose: checkGradient(at: [a], seed: seed) { $0[0].transposed() }
    case .rows: checkGradient(at: [a], seed: seed) { $0[0].rows(1..<4) }
    case .concatenate:
      checkGradient(at: [a, random([2, 4], seed, 1)], seed: seed) {
        .concatenating([$0[0], $0[1], $0[0]])
      }
    case .embedding: checkGradient(at: [a], seed: seed) { $0[0].embedding([5, 0, 0, 3]) }
    case .matmul:
      checkGradient(at: [a, random([4, 9], seed, 1)], seed: seed) { $0[0].matmul($0[1]) }
    case .linear:
      checkGradient(at: [a, random([9, 4], seed, 1)], seed: seed) { $0[0].linear($0[1]) }
    case .mix:
      checkGradient(at: [a, random([6, 4], seed, 1)], seed: seed) {
        $0[0].mixed(with: $0[1], keeping: 0.5, seed: seed)
      }
    case .summedByRows:
      let weights = random([6, 4], seed, 2)
      checkGradient(at: [a], seed: seed) {
        ($0[0] * $0[0]).summed(byRows: 4) { ($0 * $0 * weights.view($1)).sum() } * 2
      }
    default: Issue.record("no check for \(operation)")
    }
  }

  private func checkTransformer(_ operation: TensorOperation, _ seed: UInt64) {
    let (a, b) = (random([4, 6], seed), random([4, 6], seed, 1))
    switch operation {
    case .softmax: checkGradient(at: [a], seed: seed) { $0[0].softmax() }
    case .logSoftmax: checkGradient(at: [a], seed: seed) { $0[0].logSoftmax() }
    case .rmsNorm:
      checkGradient(at: [a, random([6], seed, 2)], seed: seed) {
        $0[0].rmsNorm($0[1], epsilon: 1e-5)
      }
      checkGradient(at: [a, random([3], seed, 3)], seed: seed) {
        $0[0].rmsNorm($0[1], epsilon: 1e-5)
      }
    case .rotary:
      let angles = random([2, 2], seed, 4).values
      let cosine = Tensor(angles.map { Float(cosineOf($0)) }, shape: [2, 2])
      let sine = Tensor(angles.map { Float(sineOf($0)) }, shape: [2, 2])
      checkGradient(at: [random([4, 8], seed)], seed: seed) {
        $0[0].rotary(cosine: cosine, sine: sine)
      }
    case .attention:
      for window in [nil, 3] {
        let shape = AttentionShape(
          batch: 2, heads: 4, keyHeads: 2, queryLength: 5, keyLength: 5, window: window)
        checkGradient(
          at: [random([10, 12], seed), random([10, 6], seed, 1), random([10, 6], seed, 2)],
          seed: seed
        ) { .attention(queries: $0[0], keys: $0[1], values: $0[2], shape) }
      }
    case .squaredError:
      checkGradient(at: [a], seed: seed) { $0[0].squaredError(to: b, dividedBy: 3) }
    case .crossEntropy:
      checkGradient(at: [a], seed: seed) { $0[0].crossEntropy(targets: [5, 0, 2, 2]) }
    case .klDivergence: checkGradient(at: [a], seed: seed) { $0[0].klDivergence(from: b) }
    default: Issue.record("no check for \(operation)")
    }
  }
}
