import Foundation
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Conversions between element types against the standard library's arithmetic.
@Suite struct ConversionTests {
  /// A tensor of all 65,536 patterns of 16 bits.
  private func patterns(_ type: ElementType) -> Tensor {
    Tensor(shape: [256, 256], elementType: type) { bytes in
      for i in 0..<65536 {
        bytes.storeBytes(of: UInt16(i).littleEndian, toByteOffset: 2 * i, as: UInt16.self)
      }
    }
  }

  private func halves(_ tensor: Tensor) -> [UInt16] {
    tensor.withBytes { bytes in
      (0..<tensor.count).map { bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self) }
    }
  }

  /// An IEEE half by its definition; NaN for any NaN.
  private func half(_ pattern: Int) -> Float {
    let (exponent, fraction) = (pattern >> 10 & 31, Double(pattern & 1023))
    let sign: Double = pattern >> 15 == 1 ? -1 : 1
    switch exponent {
    case 0: return Float(sign * fraction * 0x1p-24)
    case 31: return fraction == 0 ? Float(sign) * .infinity : .nan
    default: return Float(sign * (1 + fraction * 0x1p-10) * pow(2, Double(exponent - 15)))
    }
  }

  @Test func everyBrainFloatThereAndBack() {
    let stored = patterns(.bfloat16)
    let numbers = stored.float()
    for (i, x) in numbers.values.enumerated() {
      let expected = Float(bitPattern: UInt32(i) << 16)
      guard x.bitPattern == expected.bitPattern || x.isNaN && expected.isNaN else {
        Issue.record("pattern \(i): \(x), expected \(expected)")
        return
      }
    }
    let back = halves(numbers.converted(to: .bfloat16))
    for (i, pattern) in back.enumerated() where Int(pattern) != i {
      #expect(Float(bitPattern: UInt32(i) << 16).isNaN)
      #expect(Float(bitPattern: UInt32(pattern) << 16).isNaN)
    }
  }

  @Test func everyHalfThereAndBack() {
    let stored = patterns(.float16)
    let numbers = stored.float()
    for (i, x) in numbers.values.enumerated() {
      let expected = half(i)
      guard x.bitPattern == expected.bitPattern || x.isNaN && expected.isNaN else {
        Issue.record("pattern \(i): \(x), expected \(expected)")
        return
      }
    }
    let back = halves(numbers.converted(to: .float16))
    for (i, pattern) in back.enumerated() where Int(pattern) != i {
      #expect(half(i).isNaN && half(Int(pattern)).isNaN, "pattern \(i) became \(pattern)")
    }
  }

  /// Between two neighbours: below the middle down, above it up, in the middle to the even pattern.
  @Test(arguments: [ElementType.bfloat16, .float16]) func roundsToNearestEven(_ type: ElementType) {
    let all = patterns(type).float().values
    let last = type == .bfloat16 ? 0x7f7f : 0x7bff
    let low = stride(from: 0, to: last, by: 7).map { $0 }
    let middles = low.map { Float((Double(all[$0]) + Double(all[$0 + 1])) / 2) }
    func rounded(_ values: [Float]) -> [Int] {
      halves(Tensor(values).converted(to: type)).map(Int.init)
    }
    #expect(rounded(middles) == low.map { $0 + $0 % 2 })
    #expect(rounded(middles.map(\.nextDown)) == low)
    #expect(rounded(middles.map(\.nextUp)) == low.map { $0 + 1 })
    #expect(rounded(middles.map { -$0 }) == low.map { $0 + $0 % 2 + 0x8000 })
    #expect(
      rounded([.greatestFiniteMagnitude, -.infinity]).map { all[$0] } == [
        .infinity, -.infinity,
      ])
  }

  @Test func integersRoundAndSaturate() {
    let x = Tensor([0.5, 1.5, -2.5, 126.6, 300, -300, 3e9, -3e9, .nan, .infinity])
    func integers<T: FixedWidthInteger>(_ type: ElementType, _: T.Type) -> [T] {
      x.converted(to: type).withBytes { Array($0.bindMemory(to: T.self)) }
    }
    #expect(integers(.int8, Int8.self) == [0, 2, -2, 127, 127, -128, 127, -128, 0, 127])
    #expect(integers(.uint8, UInt8.self) == [0, 2, 0, 127, 255, 0, 255, 0, 0, 255])
    #expect(
      integers(.int32, Int32.self) == [0, 2, -2, 127, 300, -300, .max, .min, 0, .max])
  }

  @Test(arguments: ElementType.allCases, ElementType.allCases)
  func smallWholeNumbersSurviveAnyConversion(_ first: ElementType, _ second: ElementType) {
    for count in [0, 1, 15, 17, 100] {
      let x = Tensor((0..<count).map { Float($0) })
      let there = x.converted(to: first).converted(to: second)
      #expect(there.elementType == second)
      #expect(there.float().values == x.values)
    }
  }

  @Test func convertedInSeveralPieces() {
    let x = normal([200_003], 1)
    let stored = x.converted(to: .bfloat16)
    let expected = halves(stored).map { Float(bitPattern: UInt32($0) << 16) }
    #expect(stored.float().values == expected)
    expectClose(expected, x.values, tolerance: 0x1p-8)
  }
}
