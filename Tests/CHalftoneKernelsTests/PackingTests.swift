// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Testing

@Suite("Bit streams")
struct PackingTests {
  private func pack(_ codes: [Int8], low: Int, bits: Int) throws -> [UInt8] {
    let kernels = try generic()
    let bytes = [UInt8](repeating: 0xEE, count: (codes.count * bits + 7) / 8)
    return written(bytes, guardedBy: 9) {
      kernels.pack(codes, Int32(low), Int32(bits), $0, codes.count)
    }
  }

  @Test(
    "thirty-two codes 0, 1, 2, ... give the words that the compressed-tensors library gives",
    arguments: [
      2: [0xe4e4_e4e4, 0xe4e4_e4e4],
      3: [0x88fa_c688, 0xc688_fac6, 0xfac6_88fa],
      4: [0x7654_3210, 0xfedc_ba98, 0x7654_3210, 0xfedc_ba98],
      5: [0x8a41_8820, 0xc5a9_2839, 0xca30_7b9a, 0x38bd_ab49, 0xffbb_cdeb],
      6: [0x440c_2040, 0xa248_1c61, 0x3ce3_4c2c, 0x544d_2450, 0xa658_5d65, 0x7de7_5c6d],
      7: [
        0x4060_8080, 0x880e_1828, 0x68c1_6284, 0x8890_1e38, 0x58a9_4264, 0x668c_982e, 0x3e78_e9c3,
      ],
      8: [
        0x0302_0100, 0x0706_0504, 0x0b0a_0908, 0x0f0e_0d0c, 0x1312_1110, 0x1716_1514, 0x1b1a_1918,
        0x1f1e_1d1c,
      ],
    ] as [Int: [UInt32]])
  func vectors(bits: Int, words: [UInt32]) throws {
    let low = -(1 << (bits - 1))
    let codes = (0..<32).map { Int8($0 % (1 << bits) + low) }
    let expected = words.flatMap { word in
      (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
    }
    #expect(try pack(codes, low: low, bits: bits) == expected)
  }

  @Test(
    "the stream holds each code's bits at its place, and unpacks to the codes", arguments: 2...8)
  func identity(bits: Int) throws {
    let kernels = try generic()
    var random = Generator(seed: UInt64(bits))
    for low in [-(1 << (bits - 1)), 0, -3] where low + (1 << bits) - 1 <= 127 {
      for n in lengths {
        let codes = random.integers(n, Int8(low)...Int8(low + (1 << bits) - 1))
        let packed = try pack(codes, low: low, bits: bits)
        var expected = [UInt8](repeating: 0, count: packed.count)
        for position in 0..<n * bits {
          let code = Int(codes[position / bits]) - low
          expected[position / 8] |= UInt8(code >> (position % bits) & 1) << (position % 8)
        }
        #expect(packed == expected, "n = \(n)")
        let back = written([Int8](repeating: 55, count: n), guardedBy: 9) {
          kernels.unpack(packed, Int32(low), Int32(bits), $0, n)
        }
        #expect(back == codes, "n = \(n)")
      }
    }
  }
}
