import Foundation
import HalftoneSchemes
import Testing

@Suite struct FloatFormatTests {
  private static let divisions = (1...7).flatMap { exponent in
    (0...6).filter { (2...7).contains(exponent + $0) }.map { (exponent, $0) }
  }

  @Test(arguments: divisions)
  func everyCodeStandsForItsFieldsAndNegationMirrors(_ division: (Int, Int)) throws {
    let (e, m) = division
    let format = try FloatFormat(exponentBits: e, mantissaBits: m)
    let bias = (1 << (e - 1)) - 1
    #expect(format.bits == 1 + e + m && format.bias == bias)
    let half = 1 << (e + m)
    var last = -Float.infinity
    for exponent in 0..<(1 << e) {
      for mantissa in 0..<(1 << m) {
        let code = exponent << m | mantissa
        let fraction = Double(mantissa) * pow(2, Double(-m))
        let expected =
          exponent == 0
          ? pow(2, Double(1 - bias)) * fraction : pow(2, Double(exponent - bias)) * (1 + fraction)
        #expect(format.value(code) == Float(expected))
        #expect(format.value(code + half) == -Float(expected))
        #expect(format.value(code) > last)
        last = format.value(code)
      }
    }
  }

  /// From the specifications of the Open Compute Project and the tables of ml_dtypes.
  @Test func knownFormatsHaveTheirExtremes() throws {
    func check(_ format: FloatFormat, _ name: String, max: Float, normal: Float, least: Float) {
      let values = (0..<(1 << format.bits)).map(format.value)
      #expect(format.name == name)
      #expect(values.filter(\.isFinite).max() == max && format.extent.high == max)
      #expect(format.value(1 << format.mantissaBits) == normal)
      #expect(format.value(1) == least)
    }
    check(.e4m3fn, "e4m3fn", max: 448, normal: 0x1p-6, least: 0x1p-9)
    check(.e5m2, "e5m2", max: 57_344, normal: 0x1p-14, least: 0x1p-16)
    check(.e2m1, "e2m1", max: 6, normal: 1, least: 0.5)
    check(.e2m3, "e2m3", max: 7.5, normal: 1, least: 0.125)
    check(.e3m2, "e3m2", max: 28, normal: 0.25, least: 0.0625)
    check(
      try FloatFormat(exponentBits: 4, mantissaBits: 3, specials: .ieee), "e4m3ieee", max: 240,
      normal: 0x1p-6, least: 0x1p-9)
    check(
      try FloatFormat(exponentBits: 4, mantissaBits: 3, bias: 8, specials: .negativeZero),
      "e4m3b8fnuz", max: 240, normal: 0x1p-7, least: 0x1p-10)
    check(
      try FloatFormat(exponentBits: 3, mantissaBits: 0), "e3m0", max: 16, normal: 0.25,
      least: 0.25)
    #expect(FloatFormat.e4m3fn.value(0x7F).isNaN && FloatFormat.e4m3fn.value(0xFF).isNaN)
    #expect(FloatFormat.e5m2.value(0x7C) == .infinity && FloatFormat.e5m2.value(0xFD).isNaN)
  }

  /// E1My is a sign and a whole number.
  @Test(arguments: 1...6) func oneExponentBitGivesIntegers(mantissa: Int) throws {
    let format = try FloatFormat(exponentBits: 1, mantissaBits: mantissa)
    let step = format.value(1)
    for code in 0..<(1 << (mantissa + 1)) { #expect(format.value(code) == Float(code) * step) }
  }

  @Test func namesLeadBackToTheirFormats() throws {
    for (exponent, mantissa) in Self.divisions {
      for specials in FloatFormat.Specials.allCases {
        for bias in [nil, 3, 12] {
          guard
            let format = try? FloatFormat(
              exponentBits: exponent, mantissaBits: mantissa, bias: bias, specials: specials)
          else { continue }
          let found = try #require(
            NumberFormats.named(format.name) as? FloatFormat, "\(format.name)")
          #expect(found == format, "\(format.name)")
        }
      }
    }
    for word in NumberFormats.words where word != "int" {
      #expect(NumberFormats.named(word) != nil)
    }
    #expect(NumberFormats.named("fp8")?.name == "e4m3fn")
    #expect(NumberFormats.named("int5")?.bits == 5)
    for word in ["", "int", "int9", "int1", "e0m3", "e9m9", "e4m4", "e4", "float", "e4m3b999fn"] {
      #expect(NumberFormats.named(word) == nil, "\(word)")
    }
  }

  @Test func divisionsThatAreNoFormatAreRefused() {
    for (exponent, mantissa) in [(0, 3), (8, 0), (4, 4), (1, 0), (-1, 2), (3, -1), (1, 7)] {
      #expect(throws: SchemeError.self) {
        try FloatFormat(exponentBits: exponent, mantissaBits: mantissa)
      }
    }
    #expect(throws: SchemeError.self) {
      try FloatFormat(exponentBits: 1, mantissaBits: 2, specials: .ieee)
    }
  }
}
