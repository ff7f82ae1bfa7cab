import Foundation
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Attention and its gradients against the definition, element by element in double precision.
@Suite struct AttentionTests {
  static let shapes = [
    AttentionShape(batch: 1, heads: 1, keyHeads: 1, queryLength: 1, keyLength: 1),
    AttentionShape(batch: 2, heads: 4, keyHeads: 2, queryLength: 5, keyLength: 9),
    AttentionShape(batch: 1, heads: 2, keyHeads: 1, queryLength: 1, keyLength: 257),
    AttentionShape(batch: 1, heads: 2, keyHeads: 2, queryLength: 128, keyLength: 128),
    AttentionShape(batch: 2, heads: 2, keyHeads: 1, queryLength: 129, keyLength: 129),
    AttentionShape(batch: 1, heads: 3, keyHeads: 1, queryLength: 130, keyLength: 300),
    AttentionShape(batch: 1, heads: 2, keyHeads: 1, queryLength: 300, keyLength: 300, window: 7),
    AttentionShape(batch: 1, heads: 2, keyHeads: 2, queryLength: 270, keyLength: 280, window: 150),
    AttentionShape(batch: 1, heads: 1, keyHeads: 1, queryLength: 3, keyLength: 5, window: 1),
  ]
  struct Reference {
    var output: Matrix
    var dq: Matrix
    var dk: Matrix
    var dv: Matrix
  }

  private func inputs(
    _ shape: AttentionShape, width: Int = 6
  ) -> (q: Tensor, k: Tensor, v: Tensor, g: Tensor) {
    let rows = (query: shape.batch * shape.queryLength, key: shape.batch * shape.keyLength)
    let widths = (query: shape.heads * width, key: shape.keyHeads * width)
    return (
      normal([rows.query, widths.query], 1) * 2, normal([rows.key, widths.key], 2),
      normal([rows.key, widths.key], 3), normal([rows.query, widths.query], 4)
    )
  }

  @Test(arguments: shapes) func agreesWithTheDefinition(_ shape: AttentionShape) {
    let (q, k, v, g) = inputs(shape)
    let expected = reference(Matrix(q), Matrix(k), Matrix(v), Matrix(g), shape)
    expectAttention(
      of: (q, k, v, g), shape, toBe: expected, output: 2e-6, gradients: (5e-6, 5e-6))
  }

  private func expectAttention(
    of inputs: (q: Tensor, k: Tensor, v: Tensor, g: Tensor), _ shape: AttentionShape,
    toBe expected: Reference, output tolerance: Float, gradients: (scores: Float, values: Float)
  ) {
    let output = Tensor.attention(queries: inputs.q, keys: inputs.k, values: inputs.v, shape)
    expectClose(output, expected.output, tolerance: tolerance)
    let leaves = [inputs.q, inputs.k, inputs.v].map { $0.tracked() }
    let recorded = Tensor.attention(
      queries: leaves[0], keys: leaves[1], values: leaves[2], shape)
    #expect(bits(recorded) == bits(output), "with and without a gradient to come")
    let found = (recorded * inputs.g).sum().gradients(of: leaves)
    // A softmax over one key has no gradient, and rounding nothing to be relative to.
    if shape.keyLength > 1 && shape.window != 1 {
      expectClose(found[0], expected.dq, tolerance: gradients.scores)
      expectClose(found[1], expected.dk, tolerance: gradients.scores)
    } else {
      let limit = gradients.scores / 5
      #expect((found[0].values + found[1].values).allSatisfy { abs($0) < limit })
    }
    expectClose(found[2], expected.dv, tolerance: gradients.values)
  }

  /// Operands rounded to bfloat16 in the definition too; where one of them lies at a tie, the rounding of
  /// floats and that of doubles part by 2⁻⁸ of it.
  @Test(arguments: shapes, [6, 40]) func roundsOperandsToBFloat16(
    _ shape: AttentionShape, _ width: Int
  ) {
    let (q, k, v, g) = inputs(shape, width: width)
    let expected = reference(Matrix(q), Matrix(k), Matrix(v), Matrix(g), shape) {
      Double(Tensor([Float($0)], shape: [1]).converted(to: .bfloat16).float().values[0])
    }
    ProductPrecision.bfloat16.during {
      expectAttention(
        of: (q, k, v, g), shape, toBe: expected, output: 1e-3, gradients: (2e-3, 1e-3))
    }
  }

  @Test func largeScoresDoNotOverflow() {
    let shape = AttentionShape(batch: 1, heads: 1, keyHeads: 1, queryLength: 4, keyLength: 4)
    let q = normal([4, 6], 5) * 1e4
    let output = Tensor.attention(queries: q, keys: q, values: normal([4, 6], 6), shape)
    #expect(output.values.allSatisfy { $0.isFinite })
  }

  /// `rounded` is what becomes of the operands of products.
  private func reference(
    _ q: Matrix, _ k: Matrix, _ v: Matrix, _ g: Matrix, _ shape: AttentionShape,
    rounded: (Double) -> Double = { $0 }
  ) -> Reference {
    var result = Reference(
      output: Matrix(rows: q.rows, columns: q.columns),
      dq: Matrix(rows: q.rows, columns: q.columns),
      dk: Matrix(rows: k.rows, columns: k.columns), dv: Matrix(rows: k.rows, columns: k.columns))
    let (q, k, v, g) = (q.map(rounded), k.map(rounded), v.map(rounded), g.map(rounded))
    for sequence in 0..<shape.batch {
      for head in 0..<shape.heads {
        for i in 0..<shape.queryLength {
          add(&result, q, k, v, g, shape, sequence, head, i, rounded)
        }
      }
    }
    return result
  }

  /// One query's output and its part of the gradients.
  private func add(
    _ result: inout Reference, _ q: Matrix, _ k: Matrix, _ v: Matrix, _ g: Matrix,
    _ shape: AttentionShape, _ sequence: Int, _ head: Int, _ i: Int, _ rounded: (Double) -> Double
  ) {
    let width = q.columns / shape.heads
    let position = shape.keyLength - shape.queryLength + i
    let keys = (0..<shape.keyLength).filter {
      $0 <= position && position - $0 < shape.window ?? .max
    }
    let row = sequence * shape.queryLength + i
    let first = sequence * shape.keyLength
    let from = head * width
    let at = head / (shape.heads / shape.keyHeads) * width
    func dot(_ a: Matrix, _ b: Matrix, _ key: Int) -> Double {
      (0..<width).reduce(0) { $0 + a[row, from + $1] * b[first + key, at + $1] }
    }
    let root = Double(width).squareRoot()
    let scores = keys.map { dot(q, k, $0) / root }
    let largest = scores.max() ?? 0
    let total = scores.reduce(0) { $0 + exp($1 - largest) }
    let p = scores.map { exp($0 - largest) / total }
    let dp = keys.map { dot(g, v, $0) }
    let mean = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
    for (n, key) in keys.enumerated() {
      let ds = rounded(p[n] * (dp[n] - mean) / root)
      let pn = rounded(p[n])
      for c in 0..<width {
        result.output[row, from + c] += pn * v[first + key, at + c]
        result.dq[row, from + c] += ds * k[first + key, at + c]
        result.dk[first + key, at + c] += ds * q[row, from + c]
        result.dv[first + key, at + c] += pn * g[row, from + c]
      }
    }
  }
}

extension ThreadTests {
  @Test func attentionDoesNotDependOnThreads() {
    let shape = AttentionShape(
      batch: 2, heads: 4, keyHeads: 2, queryLength: 140, keyLength: 150, window: 100)
    let q = normal([280, 32], 7).tracked()
    let (k, v) = (normal([300, 16], 8).tracked(), normal([300, 16], 9).tracked())
    for precision in ProductPrecision.allCases {
      ThreadTests.expectSameBits {
        precision.during {
          let y = Tensor.attention(queries: q, keys: k, values: v, shape)
          return [y] + (y * y).sum().gradients(of: [q, k, v])
        }
      }
    }
  }
}
