import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// A format that the package does not have: it takes one conformance, and nothing else changes.
private struct E2M1: NumberFormat {
  let name = "e2m1"
  let bits = 4
  /// One sign, two exponent and one mantissa bit: 0, ½, 1, 1½, 2, 3, 4, 6 and their negatives.
  let values = CodeValues.table(
    [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
}

/// Formats, granularities and the words for them.
@Suite struct NumberFormatTests {
  @Test(arguments: 2...8) func integersFillTheirBits(bits: Int) throws {
    let format = try IntegerFormat(bits: bits)
    #expect(format.name == "int\(bits)" && format.bits == bits)
    #expect(format.high - format.low + 1 == 1 << bits && format.low == -format.high - 1)
    #expect(format.values == .uniform(low: format.low, high: format.high))
  }

  @Test(arguments: [Int.min, -4, 0, 1, 9, 16]) func otherIntegersThrow(bits: Int) {
    let error = #expect(throws: SchemeError.self) { try IntegerFormat(bits: bits) }
    #expect(error?.description == "integers of \(bits) bits are not supported; use 2 to 8")
  }

  @Test func anotherFormatIsOneConformance() throws {
    let codes = Tensor((0..<32).map { Float($0 % 16) }, shape: [2, 16])
    let scales = Tensor([2, 4, 0.5, 1], shape: [2, 2])
    let quantized = try QuantizedTensor(
      shape: [2, 16], format: E2M1(), codes: codes.converted(to: .int8),
      levels: [scales, Tensor([0.25], shape: [1, 1])])
    let magnitudes: [Float] = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    let expected = [(1, 0.5), (-1, 1), (1, 0.125), (-1, 0.25)].flatMap { sign, scale in
      magnitudes.map { $0 * Float(sign) * Float(scale) }
    }
    #expect(quantized.dequantized().values == expected)
    #expect(quantized.gridTable?.unit == 0.25)
    #expect(quantized.packedByteCount == 16 + 4 * 2 + 2)
  }

  @Test func tablesOfAllBytes() throws {
    // Codes above 127 are stored as negative bytes.
    struct Wide: NumberFormat {
      let name = "wide"
      let bits = 8
      let values = CodeValues.table((0..<256).map { Float($0 * $0) })
    }
    let codes = Tensor(shape: [16, 16], elementType: .int8) { bytes in
      for i in 0..<256 { bytes[i] = UInt8(i) }
    }
    let quantized = try QuantizedTensor(
      shape: [16, 16], format: Wide(), codes: codes, levels: [Tensor([1], shape: [1, 1])])
    #expect(quantized.dequantized().values == (0..<256).map { Float($0 * $0) })
  }

  @Test func tableShapes() throws {
    func shape(_ granularity: Granularity) throws -> [Int] {
      let shape = try granularity.tableShape(rows: 6, columns: 8)
      return [shape.rows, shape.columns]
    }
    #expect(try shape(.tensor) == [1, 1])
    #expect(try shape(.channel) == [6, 1])
    #expect(try shape(.token) == [6, 1])
    #expect(try shape(.group(2)) == [6, 4])
    #expect(try shape(.block(rows: 3, columns: 2)) == [2, 4])
    for bad in [Granularity.group(3), .block(rows: 0, columns: 2), .block(rows: 4, columns: 2)] {
      #expect(throws: SchemeError.self) { try shape(bad) }
    }
  }

  @Test func descriptionsAreTheReportsWords() throws {
    let format = try IntegerFormat(bits: 4)
    let weights = WeightScheme(format: format, granularity: .group(32), symmetric: false)
    #expect(weights.description == "int4 group 32 asymmetric min-mse")
    let inputs = InputScheme(
      format: try IntegerFormat(bits: 8), granularity: .token, symmetric: true, dynamic: true)
    #expect(inputs.description == "int8 token symmetric dynamic")
    #expect(Granularity.block(rows: 2, columns: 3).description == "block 2x3")
    #expect(
      [Granularity.tensor, .channel].map(\.description) == ["tensor", "channel"])
  }
}
