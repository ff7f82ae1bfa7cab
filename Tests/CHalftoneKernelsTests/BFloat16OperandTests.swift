// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Testing

/// Rounded to nearest, ties to even; NaN stays one.
private func pattern(_ x: Float) -> UInt16 {
  if x.isNaN { return 0x7FC0 }
  return UInt16(truncatingIfNeeded: (x.bitPattern + 0x7FFF + (x.bitPattern >> 16 & 1)) >> 16)
}

private func withOneNaN(_ patterns: [UInt16]) -> [UInt16] {
  patterns.map { $0 & 0x7FFF > 0x7F80 ? 0x7FC0 : $0 }
}

/// A matrix [rows, columns] as floats, or its transpose, in longer rows than it needs.
private struct Operand {
  let (rows, columns, stride): (Int, Int, Int)
  let transposed: Bool
  let elements: [Float]

  init(rows: Int, columns: Int, transposed: Bool) {
    var random = Generator(seed: UInt64(rows * 1000 + columns))
    (self.rows, self.columns, self.transposed) = (rows, columns, transposed)
    stride = (transposed ? rows : columns) + 3
    // The instructions for bfloat16 may take subnormal numbers for zeros.
    elements = random.anything(stride * (transposed ? columns : rows)).map {
      $0.isSubnormal ? 0.5 : $0
    }
  }

  subscript(i: Int, j: Int) -> Float { elements[transposed ? j * stride + i : i * stride + j] }
}

@Suite("Floats rounded to operands of bfloat16 products")
struct BFloat16OperandTests {
  static let shapes = [
    (1, 1), (1, 2), (16, 32), (3, 33), (17, 31), (40, 64), (33, 65), (5, 100), (130, 7), (0, 5),
    (5, 0),
  ]

  @Test("first operands are rows, their length made even", arguments: shapes, [false, true])
  func rows(_ shape: (Int, Int), transposed: Bool) throws {
    let x = Operand(rows: shape.0, columns: shape.1, transposed: transposed)
    let length = (x.columns + 1) / 2 * 2
    let wanted = (0..<x.rows).flatMap { i in
      (0..<length).map { $0 < x.columns ? pattern(x[i, $0]) : 0 }
    }
    for name in fasterAttentionSets + ["generic"] {
      let set = try attentionSet(name)
      let found = written([UInt16](repeating: 0xFFFF, count: x.rows * length), guardedBy: 0x1234) {
        set.bf16_rows(x.elements, x.stride, transposed ? 1 : 0, x.rows, x.columns, $0, length)
      }
      #expect(withOneNaN(found) == wanted, "\(name)")
    }
  }

  @Test("second operands are panels of columns", arguments: shapes, [false, true])
  func columns(_ shape: (Int, Int), transposed: Bool) throws {
    // Stored by columns of the operand or by its rows: [k, n] either way.
    let x = Operand(rows: shape.1, columns: shape.0, transposed: transposed)
    let (n, k) = (x.columns, x.rows)
    let byColumn = (0..<n).flatMap { j in (0..<k).map { pattern(x[$0, j]) } }
    var wanted = [UInt16](repeating: 0, count: (n + 15) / 16 * ((k + 1) / 2) * 32)
    halftone_pack_bf16(byColumn, n, k, &wanted)
    for name in fasterAttentionSets + ["generic"] {
      let set = try attentionSet(name)
      let blank = [UInt16](repeating: 0xFFFF, count: wanted.count)
      let found = written(blank, guardedBy: 0x1234) {
        set.bf16_columns(x.elements, x.stride, transposed ? 1 : 0, n, k, $0)
      }
      #expect(withOneNaN(found) == wanted, "\(name)")
    }
  }
}
