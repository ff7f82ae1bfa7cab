// SPDX-License-Identifier: MIT
import CHalftoneKernels

/// One kernel on seeded inputs of length n; what it wrote and returned, as bits.
struct Comparison: Sendable {
  let name: String
  let run: @Sendable (halftone_kernels, Int, inout Generator) -> [UInt32]

  init(
    _ name: String,
    _ run: @escaping @Sendable (halftone_kernels, Int, inout Generator) -> [UInt32]
  ) {
    self.name = name
    self.run = run
  }
}

let conversionComparisons = [
  Comparison("f16_to_f32") { k, n, random in
    let a = random.integers(n, 0...UInt16.max)
    return output(n) { k.f16_to_f32(a, $0, n) }.map(\.bitPattern)
  },
  Comparison("bf16_to_f32") { k, n, random in
    let a = random.integers(n, 0...UInt16.max)
    return output(n) { k.bf16_to_f32(a, $0, n) }.map(\.bitPattern)
  },
  Comparison("f32_to_f16") { k, n, random in
    let a = random.anything(n)
    return written([UInt16](repeating: 0, count: n), guardedBy: 9) { k.f32_to_f16(a, $0, n) }
      .map(UInt32.init)
  },
  Comparison("f32_to_bf16") { k, n, random in
    let a = random.anything(n)
    return written([UInt16](repeating: 0, count: n), guardedBy: 9) { k.f32_to_bf16(a, $0, n) }
      .map(UInt32.init)
  },
  Comparison("i8_to_f32") { k, n, random in
    let a = random.integers(n, Int8.min...Int8.max)
    return bits(output(n) { k.i8_to_f32(a, $0, n) })
  },
]

let elementComparisons = [
  Comparison("add") { k, n, random in
    let (a, b) = (random.anything(n), random.anything(n))
    return bits(output(n) { k.add(a, b, $0, n) }, written(a, guardedBy: 0) { k.add($0, b, $0, n) })
  },
  Comparison("subtract") { k, n, random in
    let (a, b) = (random.anything(n), random.anything(n))
    return bits(output(n) { k.subtract(a, b, $0, n) })
  },
  Comparison("multiply") { k, n, random in
    let (a, b) = (random.anything(n), random.anything(n))
    return bits(output(n) { k.multiply(a, b, $0, n) })
  },
  Comparison("scale") { k, n, random in
    let a = random.anything(n)
    return bits(output(n) { k.scale(a, 0.7, $0, n) })
  },
  Comparison("axpy") { k, n, random in
    let (x, y) = (random.anything(n), random.anything(n))
    return bits(written(y, guardedBy: 0) { k.axpy(x, 0.7, $0, n) })
  },
  Comparison("clamp") { k, n, random in
    let a = random.anything(n)
    return bits(output(n) { k.clamp(a, -1.5, 2.5, $0, n) })
  },
  Comparison("exp") { k, n, random in
    let a = random.anything(n)
    return bits(output(n) { k.exp(a, $0, n) })
  },
  Comparison("log") { k, n, random in
    let a = random.anything(n)
    return bits(output(n) { k.log(a, $0, n) })
  },
  Comparison("sigmoid") { k, n, random in
    let a = random.anything(n)
    return bits(output(n) { k.sigmoid(a, $0, n) })
  },
  Comparison("round") { k, n, random in
    let a = random.anything(n)
    return bits(output(n) { k.round(a, $0, n) })
  },
]

let reductionComparisons = [
  Comparison("sum") { k, n, random in
    let a = random.finite(n)
    return bits([k.sum(a, n)])
  },
  Comparison("dot") { k, n, random in
    let (a, b) = (random.finite(n), random.finite(n))
    return bits([k.dot(a, b, n)])
  },
  Comparison("squared_distance") { k, n, random in
    let (a, b) = (random.finite(n), random.finite(n))
    return bits([k.squared_distance(a, b, n)])
  },
  Comparison("extrema") { k, n, random in
    let (a, b) = (random.finite(n), random.anything(n))
    var (low, high, unorderedLow, unorderedHigh): (Float, Float, Float, Float) = (0, 0, 0, 0)
    k.extrema(a, n, &low, &high)
    k.extrema(b, n, &unorderedLow, &unorderedHigh)
    return bits([low, high, unorderedLow, unorderedHigh])
  },
]

let transformerComparisons = [
  Comparison("rms_norm") { k, n, random in
    let (x, w) = (random.finite(n), random.uniform(n))
    var r: Float = 0
    let out = output(n) { r = k.rms_norm(x, w, 1e-5, $0, n) }
    return bits(out, [r])
  },
  Comparison("rms_norm_pullback") { k, n, random in
    let (x, w, dy) = (random.finite(n), random.uniform(n), random.uniform(n))
    var dx: [Float] = []
    let dw = written(random.uniform(n), guardedBy: 0) { dw in
      dx = output(n) { k.rms_norm_pullback(x, w, dy, 0.8, $0, dw, n) }
    }
    return bits(dx, dw, output(n) { k.rms_norm_pullback(x, w, dy, 0.8, $0, nil, n) })
  },
  Comparison("softmax") { k, n, random in
    var x = random.finite(n)
    if n > 2 { x[1] = -.infinity }
    var result: Float = 0
    let p = written(x, guardedBy: 3) { result = k.softmax($0, 0.7, n) }
    return bits(p, [result])
  },
  Comparison("softmax_pullback") { k, n, random in
    let (p, dp) = (random.uniform(n, 0...1), random.finite(n))
    return bits(
      output(n) { k.softmax_pullback(p, dp, 0.7, $0, n) },
      written(dp, guardedBy: 0) { k.softmax_pullback(p, $0, 0.7, $0, n) })
  },
  Comparison("silu_multiply") { k, n, random in
    let (gate, up) = (random.anything(n), random.finite(n))
    return bits(output(n) { k.silu_multiply(gate, up, $0, n) })
  },
  Comparison("silu_multiply_pullback") { k, n, random in
    let (gate, up, dy) = (random.finite(n), random.finite(n), random.uniform(n))
    var dgate: [Float] = []
    let dup = output(n) { dup in
      dgate = output(n) { k.silu_multiply_pullback(gate, up, dy, $0, dup, n) }
    }
    return bits(dgate, dup)
  },
  Comparison("rotate") { k, n, random in
    let (x, c, s) = (random.finite(2 * n), random.uniform(n), random.uniform(n))
    return bits(
      output(2 * n) { k.rotate(x, c, s, $0, n) },
      written(x, guardedBy: 0) { k.rotate($0, c, s, $0, n) })
  },
  Comparison("small_product") { k, n, random in
    // Rows of c and b are n wide; three, eight and eleven rows meet every tile.
    let inner = 5
    let (a, b, c) = (random.uniform(11 * inner), random.uniform(inner * n), random.uniform(11 * n))
    return [3, 8, 11].flatMap { m in
      bits(
        output(m * n) { k.small_product(a, inner, 1, b, n, $0, n, m, n, inner, 0) },
        written(Array(c.prefix(m * n)), guardedBy: 0) {
          k.small_product(a, 1, m, b, n, $0, n, m, n, inner, 1)
        })
    }
  },
  Comparison("adam") { k, n, random in
    let (x, g) = (random.finite(n), random.finite(n))
    let (m, v) = (random.uniform(n), random.uniform(n, 0...2))
    var (first, second): ([Float], [Float]) = ([], [])
    let moved = written(x, guardedBy: 0) { x in
      first = written(m, guardedBy: 0) { m in
        second = written(v, guardedBy: 0) { v in
          k.adam(x, g, m, v, 0.01, 0.9, 0.999, 0.1, 0.001, 1e-8, n)
        }
      }
    }
    return bits(moved, first, second)
  },
]

let packingComparisons = [
  Comparison("pack") { k, n, random in
    (2...8).flatMap { bits in
      let low = -(1 << (bits - 1))
      let codes = random.integers(n, Int8(low)...Int8(-low - 1))
      let bytes = [UInt8](repeating: 0, count: (n * bits + 7) / 8)
      return written(bytes, guardedBy: 99) { k.pack(codes, Int32(low), Int32(bits), $0, n) }
        .map(UInt32.init)
    }
  },
  Comparison("unpack") { k, n, random in
    (2...8).flatMap { bits in
      let packed = random.integers((n * bits + 7) / 8, UInt8.min...UInt8.max)
      let low = Int32(-(1 << (bits - 1)))
      return written([Int8](repeating: 0, count: n), guardedBy: 99) {
        k.unpack(packed, low, Int32(bits), $0, n)
      }.map { UInt32(bitPattern: Int32($0)) }
    }
  },
]

func allComparisons() -> [Comparison] {
  conversionComparisons + elementComparisons + reductionComparisons + transformerComparisons
    + gridComparisons + roundingComparisons + packingComparisons
}
