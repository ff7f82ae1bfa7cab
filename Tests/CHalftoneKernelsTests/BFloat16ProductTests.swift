// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Testing

/// The sixteen bits of numbers that bfloat16 holds exactly.
private func patterns(_ values: [Float]) -> [UInt16] { values.map { UInt16($0.bitPattern >> 16) } }

private func float(_ pattern: UInt16) -> Float { Float(bitPattern: UInt32(pattern) << 16) }

private struct Product {
  let (m, n, k): (Int, Int, Int)
  let a: [UInt16]
  let b: [UInt16]

  init(m: Int, n: Int, k: Int) {
    var random = Generator(seed: UInt64(m + n + k))
    (self.m, self.n, self.k) = (m, n, k)
    a = patterns(random.uniform(m * k))
    b = patterns(random.uniform(n * k))
  }

  var packed: [UInt16] {
    let count = (n + 15) / 16 * ((k + 1) / 2) * 32
    return written([UInt16](repeating: 0xFFFF, count: count), guardedBy: 0x1234) {
      halftone_pack_bf16(b, n, k, $0)
    }
  }

  /// What `set` computes, `count` panels in a call; `times` that on top of each other.
  func result(_ set: String, panels count: Int, times: Int = 1) throws -> [Float] {
    let (kernels, packed, panels) = (try attentionSet(set), packed, (n + 15) / 16)
    return output(m * n) { out in
      for time in 0..<times {
        for first in stride(from: 0, to: panels, by: count) {
          kernels.bf16_product(
            a, k, m, packed, n, k, first, min(count, panels - first), out, n, time > 0 ? 1 : 0)
        }
      }
    }
  }

  /// Second elements of pairs first, every product exact, every sum rounded.
  func ordered(onTopOf start: [Float]? = nil) -> [Float] {
    (0..<m * n).map { at in
      let (i, j) = (at / n, at % n)
      var sum = start?[at] ?? 0
      for l in stride(from: 0, to: k, by: 2) {
        if l + 1 < k { sum += float(a[i * k + l + 1]) * float(b[j * k + l + 1]) }
        sum += float(a[i * k + l]) * float(b[j * k + l])
      }
      return sum
    }
  }
}

@Suite("Products of bfloat16 matrices")
struct BFloat16ProductTests {
  @Test(
    "every set gives the sums in the stated order",
    arguments: [
      (1, 1, 1), (1, 16, 2), (3, 5, 7), (8, 48, 256), (9, 100, 515), (17, 49, 33), (4, 130, 258),
    ])
  func product(m: Int, n: Int, k: Int) throws {
    let product = Product(m: m, n: n, k: k)
    let once = product.ordered()
    let (wanted, twice) = (bits(once), bits(product.ordered(onTopOf: once)))
    for set in fasterAttentionSets + ["generic"] {
      #expect(try bits(product.result(set, panels: 100)) == wanted, "\(set)")
      #expect(try bits(product.result(set, panels: 2)) == wanted, "\(set)")
      #expect(try bits(product.result(set, panels: 2, times: 2)) == twice, "\(set)")
    }
  }

  @Test("panels hold sixteen rows by pairs, and zeros around")
  func panels() {
    let product = Product(m: 1, n: 18, k: 3)
    let packed = product.packed
    for panel in 0..<2 {
      for l in 0..<4 {
        for r in 0..<16 {
          let row = 16 * panel + r
          let wanted = row < 18 && l < 3 ? product.b[row * 3 + l] : 0
          #expect(packed[(panel * 2 + l / 2) * 32 + r * 2 + l % 2] == wanted)
        }
      }
    }
  }
}
