import CHalftoneKernels

/// One row of inputs, or some, times a matrix of arbitrary codes in one of the layouts beside integers.
final class FormatWork: PanelWork, @unchecked Sendable {
  enum Layout {
    /// 4-bit integers with float scales and inputs of eight bits: what the others are compared with.
    case integers
    /// The same with so many outliers in each row of inputs: LLM.int8()'s product, of 8-bit weights.
    case outliers(Int)
    /// Weights of two levels.
    case dual
    /// Float inputs and codes that stand for floats.
    case levels(bits: Int, kind: halftone_level_kind, exponentBits: Int)
    /// Float inputs and a matrix of floats.
    case dense(halftone_dense_type)
  }

  static let panelsPerCall = 8

  let byteCount: Int
  private let layout: Layout
  let outputs: Int
  private let columns: Int
  private let rows: Int
  private let set = halftone_products_best().pointee
  private var integers = halftone_matrix()
  private var levels = halftone_level_matrix()
  private var dual = halftone_dual_matrix()
  private var dense = halftone_dense_matrix()
  private var inputs = halftone_inputs()
  private var outliers = halftone_outliers()
  private let memory = FilledMemory()
  private let floats: UnsafeMutablePointer<Float>
  private let out: UnsafeMutablePointer<Float>

  init(_ layout: Layout, inputs rows: Int, outputs: Int, columns: Int, group: Int) {
    (self.layout, self.outputs, self.columns, self.rows) = (layout, outputs, columns, rows)
    let groups = group >= columns ? 1 : columns / group
    floats = memory.filled(rows * columns) { Float($0 % 17 - 8) / 8 }
    out = memory.filled(rows * outputs) { _ in Float(0) }
    let cells = outputs * groups
    let codes = Self.codeBytes(layout, outputs * columns)
    switch layout {
    case .dual: byteCount = codes + cells * 2 + outputs * 4
    case .dense: byteCount = codes
    default: byteCount = codes + cells * 2
    }
    prepareWeights(group: group, cells: cells, codes: codes)
    prepareInputs()
  }

  private static func codeBytes(_ layout: Layout, _ count: Int) -> Int {
    switch layout {
    case .integers, .dual: count / 2
    case .outliers: count
    case .levels(let bits, _, _): count * bits / 8
    case .dense(let type): count * (type == halftone_dense_f32 ? 4 : 2)
    }
  }

  private func prepareWeights(group: Int, cells: Int, codes: Int) {
    let scales = UnsafeRawPointer(memory.filled(cells) { UInt16(0x2000 + $0 % 512) })
    switch layout {
    case .integers, .outliers:
      var bits = 4
      if case .outliers = layout { bits = 8 }
      integers.rows = outputs
      integers.columns = columns
      integers.bits = Int32(bits)
      integers.zero = 1 << Int32(bits - 1)
      integers.group = group
      integers.scale_type = halftone_scale_f16
      integers.scales = scales
      integers.codes = memory.codes(codes)
    case .dual:
      dual = halftone_dual_matrix(
        rows: outputs, columns: columns, group: group, factors: memory.codes(cells),
        offsets: memory.codes(cells),
        row_scales: UnsafePointer(memory.filled(outputs) { _ in Float(0.01) }),
        row_sums: UnsafePointer(memory.filled(outputs) { _ in Float(0) }),
        codes: memory.codes(codes))
    case .levels(let bits, let kind, let exponentBits):
      levels = halftone_level_matrix(
        rows: outputs, columns: columns, bits: Int32(bits), kind: kind,
        exponent_bits: Int32(exponentBits),
        levels: UnsafePointer(memory.filled(256) { Float($0 % 31 - 15) / 15 }), group: group,
        scale_type: halftone_scale_f16, scales: scales, codes: memory.codes(codes))
    case .dense(let type):
      dense = halftone_dense_matrix(
        rows: outputs, columns: columns, type: type,
        elements: UnsafeRawPointer(memory.filled(codes / 2) { _ in UInt16(0) }))
    }
  }

  private func prepareInputs() {
    let codes = memory.filled(rows * columns) { Int8(truncatingIfNeeded: $0 &* 40503 >> 9) }
    let sums = memory.filled(rows * columns / 16) { _ in Int32(0) }
    set.sum_codes(codes, rows * columns, sums)
    inputs.rows = rows
    inputs.columns = columns
    inputs.stride = columns
    inputs.group = columns
    inputs.codes = UnsafePointer(codes)
    inputs.scales = UnsafePointer(memory.filled(rows) { _ in Float(0.01) })
    inputs.sums = UnsafePointer(sums)
    guard case .outliers(let count) = layout else { return }
    let spacing = columns / max(1, count)
    outliers = halftone_outliers(
      rows: rows, stride: count,
      counts: UnsafePointer(memory.filled(rows) { _ in UInt32(count) }),
      columns: UnsafePointer(memory.filled(rows * count) { UInt32($0 % count * spacing) }),
      values: UnsafePointer(memory.filled(rows * count) { _ in Float(7) }))
  }

  func call(_ first: Int, _ count: Int) {
    switch layout {
    case .integers: set.product(&inputs, &integers, first, count, out, outputs)
    case .outliers:
      set.product(&inputs, &integers, first, count, out, outputs)
      set.outlier_product(&outliers, &integers, first, count, out, outputs)
    case .dual: set.dual_product(&inputs, &dual, first, count, out, outputs)
    case .levels: set.level_product(floats, columns, rows, &levels, first, count, out, outputs)
    case .dense: set.dense_product(floats, columns, rows, &dense, first, count, out, outputs)
    }
  }
}

/// Memory of arbitrary contents.
final class FilledMemory {
  private var pointers: [UnsafeMutableRawPointer] = []

  deinit { for pointer in pointers { pointer.deallocate() } }

  func filled<T>(_ count: Int, _ value: (Int) -> T) -> UnsafeMutablePointer<T> {
    let raw = UnsafeMutableRawPointer.allocate(
      byteCount: count * MemoryLayout<T>.stride, alignment: 4096)
    pointers.append(raw)
    let typed = raw.bindMemory(to: T.self, capacity: count)
    for i in 0..<count { (typed + i).initialize(to: value(i)) }
    return typed
  }

  /// Arbitrary bytes, but for infinities of minifloats.
  func codes(_ count: Int) -> UnsafePointer<UInt8> {
    UnsafePointer(filled(count) { UInt8(truncatingIfNeeded: $0 &* 0x9E37_79B1 >> 11) & 0xB7 })
  }
}

/// Times every layout beside 4-bit integers in turns, and prints what a weight costs.
func timeFormats(threads: Int, repetitions: Int) {
  let table = halftone_levels_table
  let floats = halftone_levels_floats
  let layouts: [(name: String, layout: FormatWork.Layout, group: Int)] = [
    ("FP4, NF4: table of 16, a scale a row", .levels(bits: 4, kind: table, exponentBits: 0), 4096),
    ("FP4, NF4, groups of 64", .levels(bits: 4, kind: table, exponentBits: 0), 64),
    ("OliVe pairs", .levels(bits: 4, kind: halftone_levels_pairs, exponentBits: 0), 4096),
    ("FP6 E3M2 in 4 + 2 bits", .levels(bits: 6, kind: floats, exponentBits: 3), 4096),
    ("FP6 E2M3 in 4 + 2 bits", .levels(bits: 6, kind: floats, exponentBits: 2), 4096),
    ("FP8 E4M3", .levels(bits: 8, kind: floats, exponentBits: 4), 4096),
    ("FP8 E5M2", .levels(bits: 8, kind: floats, exponentBits: 5), 4096),
    ("table of 256", .levels(bits: 8, kind: table, exponentBits: 0), 4096),
    ("two levels, groups of 128", .dual, 128),
    ("LLM.int8(): 8 bits, 4 outliers a row", .outliers(4), 4096),
    ("LLM.int8(): 8 bits, 41 outliers a row", .outliers(41), 4096),
    ("float32, dense", .dense(halftone_dense_f32), 4096),
  ]
  for rows in [1, 4, 256] {
    let outputs = rows == 1 ? 32768 : 4096
    let integers = FormatWork(
      .integers, inputs: rows, outputs: outputs, columns: 4096, group: 4096)
    for (name, layout, group) in layouts {
      let work = FormatWork(layout, inputs: rows, outputs: outputs, columns: 4096, group: group)
      let pairs = (0..<repetitions).map { _ in
        (
          integers: seconds { integers.run(threads: threads) },
          ours: seconds { work.run(threads: threads) }
        )
      }
      let time = median(pairs.map(\.ours))
      let weights = Double(outputs * 4096)
      print(
        "\(rows) rows, \(name):", "\(rounded(weights / time * 1e-9)) G weights/s,",
        "\(rounded(Double(work.byteCount) / time * 1e-9)) GB/s,",
        "\(rounded(2e-9 * Double(rows) * weights / time)) GFLOP/s,",
        "int4 at \(rounded(weights / median(pairs.map(\.integers)) * 1e-9)) G weights/s,",
        "ratio \(rounded(100 * median(pairs.map { $0.integers / $0.ours }))) %")
    }
  }
}
