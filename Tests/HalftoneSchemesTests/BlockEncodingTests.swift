import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Rounding to GGUF blocks, against ggml's quantizers: Scripts/golden/gguf_encoders.py.
@Suite struct BlockEncodingTests {
  @Test(arguments: BlockType.allCases)
  func blocksAreThoseOfGGML(type: BlockType) throws {
    let golden = try GoldenFile("encoders.safetensors")
    let rows = try golden.floats("rows")
    let expected = try golden.bytes(type.name)
    let ours = try BlockMatrix(encoding: rows, as: type)
    let bytes = ours.bytes.withBytes { Array($0) }
    // A sum in another order, or a fused one, may choose the neighbour of a code; nothing here does.
    let different = zip(bytes, expected).count { $0 != $1 }
    #expect(bytes.count == expected.count && different == 0)
  }

  /// Numbers of a format are kept by it, whatever search it does.
  @Test(arguments: [BlockType.q40, .q50, .q80, .tq10, .tq20, .mxfp4])
  func numbersOfTheFormatAreKept(type: BlockType) throws {
    let golden = try GoldenFile("encoders.safetensors")
    let once = try BlockMatrix(encoding: try golden.floats("rows"), as: type).dequantized()
    let twice = try BlockMatrix(encoding: once, as: type).dequantized()
    // The extreme element determines the scale, which half precision keeps.
    #expect(zip(once.values, twice.values).allSatisfy { abs($0 - $1) <= abs($0) * 0x1p-10 })
  }

  @Test func codesAreJoinedUnchanged() throws {
    let codes = (0..<128).map { UInt8($0 * 7 % 16) }
    let scales: [UInt16] = [0x3C00, 0x3800, 0x4000, 0x3400]  // 1, 1/2, 2, 1/4
    let factors: [Float] = [1, 0.5, 2, 0.25]
    let centered = try BlockMatrix(
      joining: codes, scales: scales, minima: nil, shape: [2, 64], type: .q40)
    let expected = codes.enumerated().map { factors[$0 / 32] * (Float($1) - 8) }
    #expect(centered.dequantized().values == expected)
    let affine = try BlockMatrix(
      joining: codes, scales: scales, minima: scales, shape: [2, 64], type: .q51)
    let shifted = codes.enumerated().map { factors[$0 / 32] * (Float($1) + 1) }
    #expect(affine.dequantized().values == shifted)
    #expect(throws: SchemeError.self) {
      try BlockMatrix(joining: codes, scales: scales, minima: scales, shape: [2, 64], type: .q40)
    }
  }

  @Test func rowsOfOtherLengthsAreRefused() {
    #expect(throws: SchemeError.self) {
      try BlockMatrix(encoding: Tensor(repeating: 1, shape: [2, 48]), as: .q40)
    }
    #expect(throws: SchemeError.self) {
      try BlockMatrix(encoding: Tensor(repeating: 1, shape: [2, 128]), as: .q4K)
    }
  }
}
