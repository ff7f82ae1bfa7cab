// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Testing

/// The value of an IEEE half, from its fields; NaN keeps its payload and turns quiet.
private func half(_ bits: UInt16) -> Float {
  let sign: Float = bits >> 15 == 0 ? 1 : -1
  let exponent = Int(bits >> 10 & 31)
  let fraction = UInt32(bits & 1023)
  if exponent == 31 {
    if fraction == 0 { return sign * .infinity }
    return Float(bitPattern: UInt32(bits >> 15) << 31 | 0x7FC0_0000 | fraction << 13)
  }
  if exponent == 0 { return sign * Float(fraction) * 0x1p-24 }
  return sign * Float(1024 + fraction) * Float(sign: .plus, exponent: exponent - 25, significand: 1)
}

/// The half nearest to a finite float: the value is brought to a multiple of the half's last place.
private func nearestHalf(_ value: Float) -> UInt16 {
  let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
  let size = Double(value.magnitude)
  let exponent = max(size == 0 ? -14 : Int(size.exponent), -14)
  let steps = (size * Double(sign: .plus, exponent: 10 - exponent, significand: 1))
    .rounded(.toNearestOrEven)
  let code = (exponent + 14) * 1024 + Int(steps)
  return sign | UInt16(min(code, 0x7C00))
}

@Suite("Conversions")
struct ConversionTests {
  let all = (0...UInt16.max).map { $0 }

  @Test("every half becomes its float")
  func halves() throws {
    let kernels = try generic()
    let found = output(65536) { kernels.f16_to_f32(all, $0, 65536) }
    #expect(found.map(\.bitPattern) == all.map { half($0).bitPattern })
  }

  @Test("every set converts every half and bfloat16 as the generic set does", arguments: fasterSets)
  func exhaustive(name: String) throws {
    let (reference, kernels) = (
      try generic(), try #require(halftone_kernels_named(name)).pointee
    )
    for (expected, found) in [
      (reference.f16_to_f32, kernels.f16_to_f32), (reference.bf16_to_f32, kernels.bf16_to_f32),
    ] {
      let wanted = output(65536) { expected?(all, $0, 65536) }
      #expect(
        output(65536) { found?(all, $0, 65536) }.map(\.bitPattern) == wanted.map(\.bitPattern))
    }
  }

  @Test("halves survive a trip through float", arguments: ["generic"] + fasterSets)
  func halfRoundTrip(name: String) throws {
    let kernels = try #require(halftone_kernels_named(name)).pointee
    let floats = output(65536) { kernels.f16_to_f32(all, $0, 65536) }
    let back = written(all, guardedBy: 3) { kernels.f32_to_f16(floats, $0, 65536) }
    // A signalling NaN comes back with its quiet bit set.
    #expect(back == all.map { half($0).isNaN ? $0 | 0x200 : $0 })
  }

  /// Ties and their neighbours at every half, and a sweep of all floats.
  static let sweep: [Float] = {
    let ties = (0..<0x7C00 as Range<UInt16>).flatMap { code -> [Float] in
      let middle = (half(code) + (code == 0x7BFF ? 65536 : half(code + 1))) / 2
      return [middle, middle.nextUp, middle.nextDown, -middle]
    }
    return ties + stride(from: 0, through: UInt32.max, by: 8191).map { Float(bitPattern: $0) }
  }()

  @Test("floats become the nearest half, ties to even, overflow to infinity")
  func toHalf() throws {
    let kernels = try generic()
    let n = Self.sweep.count
    let found = written([UInt16](repeating: 0, count: n), guardedBy: 3) {
      kernels.f32_to_f16(Self.sweep, $0, n)
    }
    let wrong = zip(found, Self.sweep).filter { code, value in
      if value.isNaN { return code & 0x7E00 != 0x7E00 }
      if value.isInfinite { return code != (value > 0 ? 0x7C00 : 0xFC00) }
      return code != nearestHalf(value)
    }
    #expect(wrong.isEmpty, "\(wrong.prefix(5))")
  }

  @Test("every set makes the same halves and bfloat16s of a sweep", arguments: fasterSets)
  func sweepAgrees(name: String) throws {
    let (reference, kernels) = (
      try generic(), try #require(halftone_kernels_named(name)).pointee
    )
    let n = Self.sweep.count
    let empty = [UInt16](repeating: 0, count: n)
    #expect(
      written(empty, guardedBy: 3) { kernels.f32_to_f16(Self.sweep, $0, n) }
        == written(empty, guardedBy: 3) { reference.f32_to_f16(Self.sweep, $0, n) })
    #expect(
      written(empty, guardedBy: 3) { kernels.f32_to_bf16(Self.sweep, $0, n) }
        == written(empty, guardedBy: 3) { reference.f32_to_bf16(Self.sweep, $0, n) })
  }

  @Test("bfloat16 is the upper half of a float, rounded to even")
  func bfloat() throws {
    let kernels = try generic()
    let widened = output(65536) { kernels.bf16_to_f32(all, $0, 65536) }
    #expect(widened.map(\.bitPattern) == all.map { UInt32($0) << 16 })
    let patterns: [UInt32] = [
      0x3F80_8000, 0x3F81_8000, 0x3F80_8001, 0x7F7F_FFFF, 0x7F80_0000, 0x7F80_0001, 0xFFFF_FFFF,
      0x8000_0000, 0x0000_8000, 0x0001_8000,
    ]
    let values = patterns.map { Float(bitPattern: $0) }
    let found = written([UInt16](repeating: 0, count: 10), guardedBy: 3) {
      kernels.f32_to_bf16(values, $0, 10)
    }
    #expect(
      found == [
        0x3F80, 0x3F82, 0x3F81, 0x7F80, 0x7F80, 0x7FC0, 0xFFFF, 0x8000, 0x0000, 0x0002,
      ])
  }

  @Test("bytes become floats")
  func bytes() throws {
    let kernels = try generic()
    let codes = (Int8.min...Int8.max).map { $0 }
    #expect(output(256) { kernels.i8_to_f32(codes, $0, 256) } == codes.map { Float($0) })
  }
}
