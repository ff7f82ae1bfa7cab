// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Testing

/// The sets of products that this CPU runs besides the generic one.
let fasterProducts = (["avx2", "avx512", "avx512vnni", "neon", "neondot"] as [String]).filter {
  halftone_products_named($0) != nil
}

/// The set of that name.
func products(_ name: String) throws -> halftone_products {
  try #require(halftone_products_named(name)).pointee
}

/// A random packed matrix, and the numbers it stands for.
struct RandomMatrix {
  var rows: Int
  var columns: Int
  var bits: Int
  var group: Int
  var scaleType = halftone_scale_f32
  var hasMinima = false
  var hasTable = false
  private(set) var zero = 0
  private(set) var values: [Int] = []  // [padded rows][columns], from the table
  private var scales: [Float] = []
  private var minima: [Float] = []
  private var superScales: [Float] = []
  private var superMinima: [Float] = []
  private var table: [UInt8] = []
  private var packed: [UInt8] = []
  let rowSums: [Float]

  var panels: Int { (rows + 15) / 16 }
  var groups: Int { group >= columns ? 1 : (columns + group - 1) / group }
  var superGroups: Int { (columns + 255) / 256 }
  var description: String {
    "\(rows) x \(columns), \(bits) bits, groups of \(group), scales \(scaleType.rawValue), "
      + "minima \(hasMinima), table \(hasTable)"
  }

  init(
    rows: Int, columns: Int, bits: Int, group: Int, scaleType: halftone_scale_type,
    hasMinima: Bool, hasTable: Bool, using random: inout Generator
  ) {
    (self.rows, self.columns, self.bits, self.group) = (rows, columns, bits, group)
    (self.scaleType, self.hasMinima, self.hasTable) = (scaleType, hasMinima, hasTable)
    rowSums = random.uniform((rows + 15) / 16 * 16)
    zero = Int.random(in: 0...255, using: &random)
    table = random.integers(16, 0...255)
    let top = UInt8((1 << bits) - 1)
    let stride = (columns + 31) / 32 * 32
    for _ in 0..<panels {
      // Padding holds codes too; the inputs that meet it are zero.
      let codes: [UInt8] = random.integers(16 * stride, 0...top)
      var panel = [UInt8](repeating: 0, count: stride / 32 * 64 * bits)
      halftone_pack_panel(codes, stride, Int32(bits), &panel)
      packed += panel
      for row in 0..<16 {
        let kept = codes[row * stride..<row * stride + columns]
        values += kept.map { hasTable ? Int(table[Int($0)]) : Int($0) }
      }
    }
    let isSuper = scaleType == halftone_scale_i8
    func numbers(_ range: ClosedRange<Float>) -> [Float] {
      (0..<panels * groups * 16).map { _ in
        let number = Float.random(in: range, using: &random)
        return isSuper ? (number * 127).rounded() : rounded(number)
      }
    }
    func halves() -> [Float] {
      random.uniform(panels * superGroups * 16, -0.02...0.02).map { Float(half: half($0)) }
    }
    scales = numbers(-1...1)
    minima = numbers(isSuper ? 0...1 : -1...1)
    superScales = halves()
    superMinima = halves()
  }

  /// What the type of scale keeps of a number.
  private func rounded(_ value: Float) -> Float {
    scaleType == halftone_scale_f16 ? Float(half: half(value)) : value
  }

  private func index(_ row: Int, _ column: Int) -> (group: Int, part: Int) {
    let group = self.group >= columns ? 0 : column / self.group
    let part = self.group >= columns ? 0 : group * self.group / 256
    let (panel, lane) = (row / 16, row % 16)
    return ((panel * groups + group) * 16 + lane, (panel * superGroups + part) * 16 + lane)
  }

  /// An element of the matrix, exactly.
  func element(_ row: Int, _ column: Int) -> Double {
    let (group, part) = index(row, column)
    let isSuper = scaleType == halftone_scale_i8
    let scale = Double(scales[group]) * (isSuper ? Double(superScales[part]) : 1)
    let minimum = Double(minima[group]) * (isSuper ? Double(superMinima[part]) : 1)
    return scale * Double(values[row * columns + column] - zero) + (hasMinima ? minimum : 0)
  }

  /// The matrix for the kernels.
  func withMatrix<R>(_ body: (halftone_matrix) throws -> R) rethrows -> R {
    let isSuper = scaleType == halftone_scale_i8
    let (scaleBytes, minimumBytes) = (bytes(scales, signed: true), bytes(minima, signed: false))
    let (superScales, superMinima) = (superScales.map(half), superMinima.map(half))
    return try scaleBytes.withUnsafeBytes { scales in
      try minimumBytes.withUnsafeBytes { minima in
        try superScales.withUnsafeBufferPointer { superScales in
          try superMinima.withUnsafeBufferPointer { superMinima in
            try table.withUnsafeBufferPointer { table in
              try rowSums.withUnsafeBufferPointer { sums in
                try packed.withUnsafeBufferPointer { packed in
                  try body(
                    halftone_matrix(
                      rows: rows, columns: columns, bits: Int32(bits), zero: Int32(zero),
                      table: hasTable ? table.baseAddress : nil, group: group,
                      scale_type: scaleType, scales: scales.baseAddress,
                      minima: hasMinima ? minima.baseAddress : nil,
                      super_scales: isSuper ? superScales.baseAddress : nil,
                      super_minima: isSuper ? superMinima.baseAddress : nil,
                      row_sums: sums.baseAddress, codes: packed.baseAddress))
                }
              }
            }
          }
        }
      }
    }
  }

  /// Numbers in the type of scale.
  private func bytes(_ numbers: [Float], signed: Bool) -> [UInt8] {
    switch scaleType {
    case halftone_scale_f32: numbers.withUnsafeBytes(Array.init)
    case halftone_scale_f16: numbers.map(half).withUnsafeBytes(Array.init)
    default:
      numbers.map { signed ? UInt8(bitPattern: Int8($0)) : UInt8($0) }
    }
  }
}

/// Rows of inputs as floats and as the generic set's integers.
struct RandomInputs {
  let rows: Int
  let columns: Int
  let group: Int
  let floats: [Float]
  private(set) var codes: [Int8]
  private(set) var scales: [Float]
  private(set) var sums: [Int32]
  let zeros: [Float]?

  var stride: Int { (columns + 31) / 32 * 32 }
  var groups: Int { group >= columns ? 1 : (columns + group - 1) / group }

  init(
    rows: Int, columns: Int, group: Int, hasZeros: Bool, by set: halftone_products,
    using random: inout Generator
  ) {
    (self.rows, self.columns, self.group) = (rows, columns, group)
    floats = random.uniform(rows * columns)
    zeros = hasZeros ? random.integers(rows, Int8(-20)...20).map { Float($0) } : nil
    (codes, scales, sums) = ([], [], [])
    let (stride, groups) = (stride, groups)
    for row in 0..<rows {
      var rowCodes = [Int8](repeating: 99, count: stride)
      var rowScales = [Float](repeating: 0, count: groups)
      var rowSums = [Int32](repeating: 0, count: stride / 16)
      let x = Array(floats[row * columns..<(row + 1) * columns])
      set.quantize_inputs(x, columns, group, &rowCodes, stride, &rowScales, &rowSums)
      codes += rowCodes
      scales += rowScales
      sums += rowSums
    }
  }

  /// An input as its integers have it.
  func value(_ row: Int, _ column: Int) -> Double {
    let scale = scales[row * groups + (group >= columns ? 0 : column / group)]
    let code = Double(codes[row * stride + column])
    return Double(scale) * (code - Double(zeros?[row] ?? 0))
  }

  func withInputs<R>(_ body: (halftone_inputs) throws -> R) rethrows -> R {
    try codes.withUnsafeBufferPointer { codes in
      try scales.withUnsafeBufferPointer { scales in
        try sums.withUnsafeBufferPointer { sums in
          try (zeros ?? []).withUnsafeBufferPointer { zeros in
            try body(
              halftone_inputs(
                rows: rows, columns: columns, stride: stride, group: group,
                codes: codes.baseAddress, scales: scales.baseAddress, sums: sums.baseAddress,
                zeros: self.zeros == nil ? nil : zeros.baseAddress))
          }
        }
      }
    }
  }
}

/// A float as a half's bits, by the generic kernel; ConversionTests hold that against the format.
func half(_ value: Float) -> UInt16 {
  var result: UInt16 = 0
  halftone_kernels_named("generic").pointee.f32_to_f16([value], &result, 1)
  return result
}

extension Float {
  init(half: UInt16) {
    var result: Float = 0
    halftone_kernels_named("generic").pointee.f16_to_f32([half], &result, 1)
    self = result
  }
}
