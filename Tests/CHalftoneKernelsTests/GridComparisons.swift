// SPDX-License-Identifier: MIT
import CHalftoneKernels

nonisolated(unsafe) let fourBits = halftone_grid(
  scale: 0.25, zero: 0, low: -8, high: 7, levels: nil)
nonisolated(unsafe) let shifted = halftone_grid(scale: 0.3, zero: 3, low: -7, high: 8, levels: nil)

/// The finite values of a format as kernels search them; the memory is never given back.
struct Levels: Sendable {
  let values: [Float]
  nonisolated(unsafe) let pointer: UnsafePointer<halftone_levels>

  /// Rising values; the code of each is its place, and ties go up.
  ///
  /// With `floats` the values must be those; kernels then need no search.
  init(
    _ values: [Float], codes: [Int]? = nil, bounds exact: [Float]? = nil,
    floats: halftone_float_codes = halftone_float_codes()
  ) {
    self.values = values
    let depth = Int.bitWidth - (values.count - 1).leadingZeroBitCount
    let size = max(16, 1 << depth)
    func kept(_ table: [Float], _ filler: Float, _ count: Int) -> UnsafePointer<Float> {
      let memory = UnsafeMutablePointer<Float>.allocate(capacity: count)
      for i in 0..<count { memory[i] = i < table.count ? table[i] : filler }
      return UnsafePointer(memory)
    }
    let last = values.count - 1
    let bounds = [0] + (exact ?? zip(values, values.dropFirst()).map { ($0 + $1) / 2 })
    let table = UnsafeMutablePointer<halftone_levels>.allocate(capacity: 1)
    table.initialize(
      to: halftone_levels(
        depth: Int32(depth), values: kept(values, values[last], size + 1),
        bounds: kept(bounds, .infinity, size + 1),
        codes: kept(
          (codes ?? Array(values.indices)).map(Float.init), Float(codes?[last] ?? last), size + 1),
        decoded: kept((0..<256).map { values[$0 % values.count] }, 0, 256),
        least: values[0] - (values[1] - values[0]) / 2,
        most: values[last] + (values[last] - values[last - 1]) / 2, floats: floats))
    pointer = UnsafePointer(table)
  }

  /// Floats of so many bits and this bias, without the `unused` largest codes; arithmetic gives their
  /// codes, or with `searched` the tables alone.
  init(exponent: Int, mantissa: Int, bias: Int, unused: Int = 0, searched: Bool) {
    let half = 1 << (exponent + mantissa)
    let size = 1 << mantissa
    let sizes = (0..<half - unused).map { code in
      let (e, m) = (code / size, Float(code % size) / Float(size))
      return Float(
        sign: .plus, exponent: max(e, 1) - bias, significand: e == 0 ? m : 1 + m)
    }
    let values = sizes.dropFirst().reversed().map { -$0 } + sizes
    let codes = sizes.indices.dropFirst().reversed().map { half + $0 } + Array(sizes.indices)
    // Middles are floats; they go to the even code.
    let bounds = zip(values.indices, values.indices.dropFirst()).map { a, b in
      let middle = (values[a] + values[b]) / 2
      return codes[b] % 2 == 0 ? middle : middle.nextUp
    }
    let normal = Float(sign: .plus, exponent: 1 - bias, significand: 1)
    self.init(
      values, codes: codes, bounds: bounds,
      floats: searched
        ? halftone_float_codes()
        : halftone_float_codes(
          shift: Int32(23 - mantissa), offset: UInt32(127 - bias) << 23,
          most: UInt32(half - unused - 1), sign: UInt32(half), normal: normal,
          magic: normal * Float(1 << (23 - mantissa))))
  }

  func grid(_ scale: Float) -> halftone_grid {
    halftone_grid(
      scale: scale, zero: 0, low: values[0], high: values[values.count - 1], levels: pointer)
  }
}

/// Exponent and mantissa bits, bias, unused codes.
let floatFormats = [
  (4, 3, 7, 1), (5, 2, 15, 4), (3, 2, 3, 0), (2, 3, 1, 0), (2, 1, 1, 0), (3, 0, 3, 0), (3, 0, 4, 0),
  (1, 6, 1, 0), (7, 0, 63, 0), (4, 3, 8, 0), (2, 0, 2, 0),
]
let fourBitFloats = Levels([-6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6])
private let tables = [
  fourBitFloats, Levels([-1, 0, 1]), Levels((0..<256).map { Float($0) / 37 - 3 }),
  Levels(exponent: 4, mantissa: 3, bias: 7, unused: 1, searched: false),
]
private nonisolated(unsafe) let grids = [fourBits, shifted] + tables.map { $0.grid(0.21) }

/// A kernel on every kind of grid.
private func onGrids(
  _ name: String,
  _ run: @escaping @Sendable (halftone_kernels, halftone_grid, Int, inout Generator) -> [UInt32]
) -> Comparison {
  Comparison(name) { k, n, random in
    var result: [UInt32] = []
    for grid in grids { result += run(k, grid, n, &random) }
    return result
  }
}

let gridComparisons = [
  onGrids("quantize") { k, grid, n, random in
    let x = random.anything(n)
    return written([Int8](repeating: 0, count: n), guardedBy: 99) { k.quantize(x, grid, $0, n) }
      .map { UInt32(bitPattern: Int32($0)) }
  },
  onGrids("dequantize") { k, grid, n, random in
    let codes = random.integers(n, Int8.min...Int8.max)
    return bits(output(n) { k.dequantize(codes, grid, $0, n) })
  },
  onGrids("round_trip") { k, grid, n, random in
    let x = random.anything(n)
    return bits(output(n) { k.round_trip(x, grid, $0, n) })
  },
  onGrids("round_trip_error") { k, grid, n, random in
    let x = random.finite(n)
    return bits([1, 2, 2.4].map { k.round_trip_error(x, grid, $0, n) })
  },
  onGrids("round_trip_error_within") { k, grid, n, random in
    let x = random.finite(n)
    var found: [Float] = []
    for power in [1, 2, 2.4] as [Float] {
      let exact = k.round_trip_error(x, grid, power, n)
      for share in [0, 0.3, 0.9, 1, 1.5] as [Float] {
        found.append(k.round_trip_error_within(x, grid, power, share * exact, n))
      }
    }
    return bits(found)
  },
  onGrids("round_trip_pullback") { k, grid, n, random in
    let (x, dy) = (random.finite(n), random.uniform(n))
    var slope: Float = 0
    let dx = output(n) { slope = k.round_trip_pullback(x, grid, dy, $0, n) }
    return bits(dx, [slope])
  },
]

let roundingComparisons = [
  onGrids("flexround") { k, grid, n, random in
    let w = random.anything(n)
    let (v2, v4) = (random.uniform(n, -0.5...0.5), random.uniform(n, -0.5...0.5))
    return bits(
      output(n) { k.flexround(w, v2, 0.1, v4, grid, $0, n) },
      output(n) { k.flexround(w, v2, 0.1, nil, grid, $0, n) })
  },
  onGrids("flexround_pullback") { k, grid, n, random in
    let (w, g) = (random.finite(n), random.uniform(n))
    let (v2, v4) = (random.uniform(n, -0.5...0.5), random.uniform(n, -0.5...0.5))
    var (dv3, dl1, without3, without1): (Float, Float, Float, Float) = (0, 0, 0, 0)
    let dv2 = output(n) { k.flexround_pullback(w, v2, 0.1, v4, grid, g, $0, &dv3, &dl1, n) }
    let without2 = output(n) {
      k.flexround_pullback(w, v2, 0.1, nil, grid, g, $0, &without3, &without1, n)
    }
    return bits(dv2, without2, [dv3, dl1, without3, without1])
  },
  onGrids("adaround") { k, grid, n, random in
    let (w, v) = (random.finite(n), random.uniform(n))
    return bits(
      output(n) { k.adaround(w, v, grid, 0, $0, n) },
      output(n) { k.adaround(w, v, grid, 1, $0, n) })
  },
  onGrids("adaround_pullback") { k, grid, n, random in
    let (w, v, g) = (random.finite(n), random.finite(n), random.uniform(n))
    func pulled(hard: Int32, lambda: Float) -> [UInt32] {
      var (sum, slope): (Float, Float) = (0, 0)
      let dv = output(n) {
        sum = k.adaround_pullback(w, v, grid, hard, g, lambda, 3.5, $0, &slope, n)
      }
      return bits(dv, [sum, slope])
    }
    return pulled(hard: 0, lambda: 0.01) + pulled(hard: 0, lambda: 0) + pulled(hard: 1, lambda: 0)
  },
  onGrids("adaround_start") { k, grid, n, random in
    let w = random.finite(n)
    return bits(output(n) { k.adaround_start(w, grid, $0, n) })
  },
]
