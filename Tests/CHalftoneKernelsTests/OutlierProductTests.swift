// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Testing

@Suite("Products of outliers")
struct OutlierProductTests {
  /// Elements of rows, by column.
  private func outliers(
    _ set: halftone_products, _ matrix: RandomMatrix, _ rows: [[(Int, Float)]], _ start: [Float]
  ) -> [Float] {
    let stride = matrix.columns
    var columns = [UInt32](repeating: .max, count: rows.count * stride)
    var values = [Float](repeating: .nan, count: rows.count * stride)
    for (r, row) in rows.enumerated() {
      for (k, element) in row.enumerated() {
        columns[r * stride + k] = UInt32(element.0)
        values[r * stride + k] = element.1
      }
    }
    let counts = rows.map { UInt32($0.count) }
    return matrix.withMatrix { w in
      columns.withUnsafeBufferPointer { columns in
        values.withUnsafeBufferPointer { values in
          counts.withUnsafeBufferPointer { counts in
            let x = halftone_outliers(
              rows: rows.count, stride: stride, counts: counts.baseAddress,
              columns: columns.baseAddress, values: values.baseAddress)
            var out = start
            withUnsafePointer(to: x) { x in
              withUnsafePointer(to: w) { w in
                set.outlier_product(x, w, 0, matrix.panels, &out, matrix.rows)
              }
            }
            return out
          }
        }
      }
    }
  }

  @Test("every set adds the same", arguments: ["generic"] + fasterProducts, ProductTests.allBits)
  func sets(name: String, bits count: Int) throws {
    let (plain, set) = (try products("generic"), try products(name))
    var random = Generator(seed: UInt64(count))
    for group in [16, 32, 96, 1 << 20] {
      let matrix = RandomMatrix(
        rows: Int.random(in: 1...70, using: &random),
        columns: Int.random(in: 1...300, using: &random),
        bits: count, group: group, scaleType: halftone_scale_f32,
        hasMinima: Bool.random(using: &random),
        hasTable: false, using: &random)
      let shares: [Double] = [0, 0.02, 1]
      let share = shares[Int.random(in: 0...2, using: &random)]
      var rows: [[(Int, Float)]] = []
      for _ in 0..<5 {
        var row: [(Int, Float)] = []
        for column in 0..<matrix.columns where Double.random(in: 0..<1, using: &random) < share {
          row.append((column, Float.random(in: -60...60, using: &random)))
        }
        rows.append(row)
      }
      let start = random.uniform(5 * matrix.rows)
      let found = outliers(set, matrix, rows, start)
      #expect(bits(found) == bits(outliers(plain, matrix, rows, start)))
      for (at, value) in found.enumerated() {
        let (r, i) = (at / matrix.rows, at % matrix.rows)
        var (sum, size) = (Double(start[at]), Double(abs(start[at])))
        for (column, x) in rows[r] {
          let term = Double(x) * matrix.element(i, column)
          sum += term
          size += abs(term) + abs(Double(x)) * 300
        }
        let steps = Double(rows[r].count + 2)
        #expect(abs(Double(value) - sum) <= 0x1p-24 * steps * size)
      }
    }
  }
}
