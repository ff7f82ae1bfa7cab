import Foundation
import HalftoneSchemes
import HalftoneTensor
import Testing

@Suite struct GroupRoundingTests {
  private func rounding(
    _ format: FloatFormat, _ scales: ScaleFormat, size: Int, global: Float = 1
  ) throws -> GroupRounding {
    try GroupRounding(
      InputScheme(
        format: format, granularity: .group(size), symmetric: true, dynamic: true, scales: scales),
      global: global)
  }

  /// Scales of powers of two by their definition in double precision, over all exponents.
  @Test func scalesArePowersOfTwo() throws {
    let formats: [(FloatFormat, Double, Double)] = [
      (.e2m1, 2, 0.25), (.e2m3, 2, 0.0625), (.e4m3fn, 8, 0.25),
    ]
    for (format, offset, step) in formats {
      let rounding = try rounding(format, .e8m0, size: 32)
      for exponent in stride(from: -126, through: 126, by: 7) {
        for mantissa in stride(from: 1.0, to: 2.0, by: 0.03125) {
          let largest = mantissa * pow(2, Double(exponent))
          let raised = mantissa + step >= 2 ? exponent + 1 : exponent
          let expected = max(-127, Double(raised) - offset)
          #expect(Double(rounding.scale(Float(largest))) == pow(2, expected), "\(largest)")
        }
      }
      #expect(rounding.scale(0) == 0x1p-127)
      #expect(rounding.scale(.infinity).isFinite && rounding.scale(.nan).isFinite)
    }
  }

  /// compressed-tensors 0.20 for w = (−16…15)/8 in groups of 16: G 1344, scales 448 and 416.
  @Test func scalesOfEightBitsAreThoseOfTheLibrary() throws {
    let rounding = try rounding(.e2m1, .e4m3, size: 16, global: 1344)
    #expect(rounding.scale(2) == Float(448) / 1344)
    #expect(rounding.scale(1.875) == Float(416) / 1344)
    // Smaller than the least scale.
    #expect(rounding.scale(0) == Float(0.125) / 1344)
    let row = Tensor((-16..<16).map { Float($0) / 8 }, shape: [1, 32])
    let scales: [Float] = [Float(448) / 1344, Float(416) / 1344]
    let levels: [Float] = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    // ffefeededdccab9a 1022435465667677: nibbles, the low ones first.
    let bytes: [UInt8] = [
      0xFF, 0xEF, 0xEE, 0xDE, 0xDD, 0xCC, 0xAB, 0x9A, 0x10, 0x22, 0x43, 0x54, 0x65, 0x66, 0x76,
      0x77,
    ]
    var expected: [Float] = []
    for code in bytes.flatMap({ [$0 & 15, $0 >> 4] }) {
      let scale = scales[expected.count / 16]
      expected.append((code & 8 == 0 ? 1 : -1) * levels[Int(code & 7)] * scale)
    }
    #expect(rounding(row).values == expected)
  }

  @Test func whatIsNoGroupIsRefused() throws {
    #expect(throws: SchemeError.self) { try rounding(.e2m1, .float, size: 16) }
    #expect(throws: SchemeError.self) { try rounding(.e2m1, .e4m3, size: 16, global: 0) }
    #expect(throws: SchemeError.self) {
      try GroupRounding(
        InputScheme(
          format: IntegerFormat.int8, granularity: .group(32), symmetric: true, dynamic: true,
          scales: .e8m0), global: 1)
    }
  }
}
