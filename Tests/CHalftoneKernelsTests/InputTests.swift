// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Testing

@Suite("Inputs become integers")
struct InputTests {
  /// Codes, scales and sums of one row.
  private func quantized(
    _ set: halftone_products, _ x: [Float], group: Int
  ) -> (codes: [Int8], scales: [Float], sums: [Int32]) {
    let stride = (x.count + 31) / 32 * 32
    let groups = group >= x.count ? 1 : (x.count + group - 1) / group
    var scales: [Float] = []
    var sums: [Int32] = []
    let codes = written([Int8](repeating: 99, count: stride), guardedBy: 5) { codes in
      sums = written([Int32](repeating: 9, count: stride / 16), guardedBy: 5) { sums in
        scales = output(groups) {
          set.quantize_inputs(x, x.count, group, codes, stride, $0, sums)
        }
      }
    }
    return (codes, scales, sums)
  }

  @Test("codes are the nearest multiples of max|x| / 127", arguments: [1, 7, 32, 70, 300])
  func definition(n: Int) throws {
    var random = Generator(seed: UInt64(n))
    var x = random.uniform(n)
    if n > 64 { for i in 32..<64 { x[i] = 0 } }
    for group in [32, 64, 1 << 20] {
      let found = quantized(try products("generic"), x, group: group)
      for (g, start) in stride(from: 0, to: n, by: group).enumerated() {
        let part = x[start..<min(start + group, n)]
        let most = part.map(\.magnitude).max() ?? 0
        let scale = most > 0 ? most / 127 : 1
        #expect(found.scales[g] == scale)
        #expect(
          Array(found.codes[start..<start + part.count])
            == part.map { Int8(($0 / scale).rounded(.toNearestOrEven)) })
      }
      #expect(found.codes.dropFirst(n).allSatisfy { $0 == 0 })
      let sums = stride(from: 0, to: found.codes.count, by: 16).map { start in
        found.codes[start..<start + 16].reduce(0) { $0 + Int32($1) }
      }
      #expect(found.sums == sums)
    }
  }

  @Test("every set makes the same integers", arguments: fasterProducts)
  func setsAgree(name: String) throws {
    var random = Generator(seed: 2)
    for n in [1, 15, 16, 17, 31, 33, 64, 257, 1000] {
      let x = random.finite(n)
      for group in [32, 128, 1 << 20] {
        let expected = quantized(try products("generic"), x, group: group)
        let found = quantized(try products(name), x, group: group)
        #expect(found.codes == expected.codes)
        #expect(bits(found.scales) == bits(expected.scales))
        #expect(found.sums == expected.sums)
      }
    }
  }

  @Test("extreme codes have their sums", arguments: ["generic"] + fasterProducts)
  func sums(name: String) throws {
    let set = try products(name)
    let codes = [Int8](repeating: -128, count: 48) + [Int8](repeating: 127, count: 48)
    let found = written([Int32](repeating: 0, count: 6), guardedBy: 5) {
      set.sum_codes(codes, 96, $0)
    }
    #expect(found == [-2048, -2048, -2048, 2032, 2032, 2032])
  }

  @Test("sets of products are found by name, and the best one is among them")
  func dispatch() throws {
    #expect(halftone_products_named("sse9") == nil)
    let best = String(cString: try #require(halftone_products_best()).pointee.name)
    #expect((fasterProducts + ["generic"]).contains(best))
    for name in fasterProducts {
      #expect(String(cString: try products(name).name) == name)
    }
  }
}
