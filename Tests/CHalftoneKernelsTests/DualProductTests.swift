// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Testing

/// Weights of two levels and inputs for them.
struct DualWork {
  var rows: Int
  var columns: Int
  var group: Int
  /// [padded rows][padded columns].
  var codes: [UInt8]
  var factors: [UInt8]
  var offsets: [UInt8]
  var rowScales: [Float]
  var rowSums: [Float]
  var inputRows: Int
  /// [inputRows][padded columns], the padding 0.
  var inputs: [Int8]
  var inputScales: [Float]
  var zeros: [Float]?

  var panels: Int { (rows + 15) / 16 }
  var stride: Int { (columns + 31) / 32 * 32 }
  var groups: Int { group >= columns ? 1 : (columns + group - 1) / group }

  init(rows: Int, columns: Int, group: Int, inputRows: Int, using random: inout Generator) {
    (self.rows, self.columns, self.group, self.inputRows) = (rows, columns, group, inputRows)
    (codes, factors, offsets, inputs) = ([], [], [], [])
    rowScales = random.uniform((rows + 15) / 16 * 16)
    rowSums = random.uniform((rows + 15) / 16 * 16)
    inputScales = random.uniform(inputRows)
    codes = random.integers(panels * 16 * stride, 0...15)
    // Any bytes: the kernels' arithmetic is modulo 256.
    factors = random.integers(panels * groups * 16, 0...255)
    offsets = random.integers(panels * groups * 16, 0...255)
    inputs = random.integers(inputRows * stride, -128...127)
    clearPadding()
  }

  mutating func clearPadding() {
    for row in 0..<inputRows {
      for j in columns..<stride { inputs[row * stride + j] = 0 }
    }
  }

  func weight(_ row: Int, _ column: Int) -> Int {
    let group = self.group >= columns ? 0 : column / self.group
    let at = (row / 16 * groups + group) * 16 + row % 16
    let code = Int(codes[row * stride + column])
    return (Int(factors[at]) * code + Int(offsets[at])) % 256 - 128
  }

  func dot(_ inputRow: Int, _ row: Int) -> Int {
    (0..<columns).reduce(0) { $0 + weight(row, $1) * Int(inputs[inputRow * stride + $1]) }
  }

  /// The products, with three floats beside each row.
  func product(_ set: halftone_products, first: Int = 0) -> [Float] {
    var packed: [UInt8] = []
    for panel in 0..<panels {
      var out = [UInt8](repeating: 0, count: stride * 8)
      halftone_pack_panel(
        Array(codes[panel * 16 * stride..<(panel + 1) * 16 * stride]), stride, 4, &out)
      packed += out
    }
    var sums = [Int32](repeating: 0, count: inputs.count / 16)
    set.sum_codes(inputs, inputs.count, &sums)
    return packed.withUnsafeBufferPointer { packed in
      factors.withUnsafeBufferPointer { factors in
        offsets.withUnsafeBufferPointer { offsets in
          rowScales.withUnsafeBufferPointer { rowScales in
            rowSums.withUnsafeBufferPointer { rowSums in
              let matrix = halftone_dual_matrix(
                rows: rows, columns: columns, group: group, factors: factors.baseAddress,
                offsets: offsets.baseAddress, row_scales: rowScales.baseAddress,
                row_sums: rowSums.baseAddress, codes: packed.baseAddress)
              return run(set, matrix, sums, first)
            }
          }
        }
      }
    }
  }

  private func run(
    _ set: halftone_products, _ matrix: halftone_dual_matrix, _ sums: [Int32], _ first: Int
  ) -> [Float] {
    inputs.withUnsafeBufferPointer { codes in
      inputScales.withUnsafeBufferPointer { scales in
        sums.withUnsafeBufferPointer { sums in
          (zeros ?? []).withUnsafeBufferPointer { zeros in
            let x = halftone_inputs(
              rows: inputRows, columns: columns, stride: stride, group: columns,
              codes: codes.baseAddress, scales: scales.baseAddress, sums: sums.baseAddress,
              zeros: self.zeros == nil ? nil : zeros.baseAddress)
            return withUnsafePointer(to: x) { x in
              withUnsafePointer(to: matrix) { matrix in
                output(inputRows * (rows + 3)) {
                  set.dual_product(x, matrix, first, panels - first, $0, rows + 3)
                }
              }
            }
          }
        }
      }
    }
  }
}

@Suite("Products of weights with two levels of scales")
struct DualProductTests {
  @Test("every set gives the plain product's bits", arguments: fasterProducts)
  func setsAgree(name: String) throws {
    let (plain, set) = (try products("generic"), try products(name))
    var random = Generator(seed: 6)
    for group in [32, 64, 96, 128, 1 << 20] {
      for columns in [1, 31, 32, 33, 100, 512, 513, 1300] {
        for inputRows in [1, 2, 3, 4, Int.random(in: 5...40, using: &random)] {
          var work = DualWork(
            rows: Int.random(in: 1...70, using: &random), columns: columns, group: group,
            inputRows: inputRows, using: &random)
          if Bool.random(using: &random) { work.zeros = random.uniform(inputRows, -20...20) }
          let first = Int.random(in: 0..<work.panels, using: &random)
          #expect(
            bits(work.product(set, first: first)) == bits(work.product(plain, first: first)),
            "\(work.rows) x \(columns), groups of \(group), \(inputRows) rows")
        }
      }
    }
  }

  @Test("more rows than a chunk holds", arguments: fasterProducts)
  func manyRows(name: String) throws {
    var random = Generator(seed: 8)
    let work = DualWork(rows: 49, columns: 70, group: 32, inputRows: 541, using: &random)
    #expect(
      bits(work.product(try products(name))) == bits(work.product(try products("generic"))))
  }

  @Test("the plain product is the integer product, scaled")
  func plainIsRight() throws {
    var random = Generator(seed: 7)
    var work = DualWork(rows: 35, columns: 200, group: 64, inputRows: 3, using: &random)
    work.zeros = random.uniform(3, -20...20)
    let found = work.product(try products("generic"))
    for r in 0..<3 {
      for i in 0..<35 {
        let zero = Double(work.zeros?[r] ?? 0) * Double(work.rowSums[i])
        let terms = Double(work.dot(r, i)) * Double(work.rowScales[i])
        let exact = Double(work.inputScales[r]) * (terms - zero)
        let size = abs(Double(work.inputScales[r])) * (abs(terms) + abs(zero))
        #expect(abs(Double(found[r * 38 + i]) - exact) <= 4 * 0x1p-24 * size)
      }
    }
  }

  /// The largest weights and codes of each sign in as many columns as are allowed: sums of 32 bits hold them, in
  /// every place and order of chains.
  @Test(
    "no sum overflows at the extremes", arguments: ["generic"] + fasterProducts,
    [(127, -128), (127, 127), (-127, -128), (-128, -128), (-128, 127)])
  func extremes(name: String, extreme: (weight: Int, input: Int)) throws {
    let set = try products(name)
    var random = Generator(seed: 1)
    let columns = 65_536
    for half in [false, true] {
      for inputRows in [1, 5] {
        var work = DualWork(
          rows: 16, columns: columns, group: 128, inputRows: inputRows, using: &random)
        work.factors = work.factors.map { _ in 1 }
        work.codes = work.codes.map { _ in 0 }
        work.offsets = work.offsets.map { _ in UInt8(extreme.weight + 128) }
        // Whole rows, and only those steps that share a chain.
        work.inputs = work.inputs.indices.map {
          half && $0 % 8 >= 4 ? 0 : Int8(extreme.input)
        }
        work.rowScales = work.rowScales.map { _ in 1 }
        work.inputScales = work.inputScales.map { _ in 1 }
        let expected = Float(extreme.weight * extreme.input * columns / (half ? 2 : 1))
        let found = work.product(set)
        for r in 0..<inputRows {
          #expect(found[r * 19..<r * 19 + 16].allSatisfy { $0 == expected })
        }
      }
    }
  }
}
