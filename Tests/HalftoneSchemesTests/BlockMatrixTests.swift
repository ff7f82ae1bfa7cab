import CHalftoneKernels
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// GGUF blocks: what they stand for, row by row and packed.
@Suite struct BlockMatrixTests {
  /// Rows quantized by ggml and rows of random bits, and ggml's own numbers for them.
  private func goldenFile() throws -> GoldenFile { try GoldenFile("blocks.safetensors") }

  private func golden(_ type: BlockType) throws -> (blocks: BlockMatrix, values: [Float]) {
    let golden = try goldenFile()
    let values = try golden.floats(type.name + ".values")
    let bytes = try golden.bytes(type.name + ".blocks")
    let matrix = try BlockMatrix(shape: values.shape, type: type, bytes: tensor(bytes))
    return (matrix, values.values)
  }

  private func tensor(_ bytes: [UInt8]) -> Tensor {
    Tensor(shape: [bytes.count], elementType: .uint8) { $0.copyBytes(from: bytes) }
  }

  /// `rows` rows that repeat the golden ones, so that panels are crossed and left unfilled.
  private func repeated(
    _ type: BlockType, rows: Int, rowOrder: RowOrder = .stored
  ) throws -> BlockMatrix {
    let golden = try goldenFile()
    let bytes = try golden.bytes(type.name + ".blocks")
    let rowBytes = bytes.count / 3
    let all = (0..<rows).flatMap { row in bytes[row % 3 * rowBytes..<(row % 3 + 1) * rowBytes] }
    return try BlockMatrix(
      shape: [rows, 512], type: type, bytes: tensor(all), rowOrder: rowOrder)
  }

  @Test(arguments: BlockType.allCases)
  func valuesAreThoseOfGGML(type: BlockType) throws {
    let (matrix, values) = try golden(type)
    let ours = matrix.dequantized().values
    #expect(ours.map(\.bitPattern) == values.map(\.bitPattern))
  }

  @Test(arguments: BlockType.allCases)
  func packingKeepsEveryNumber(type: BlockType) throws {
    let matrix = try repeated(type, rows: 37)
    #expect(unpacked(matrix.packed()) == matrix.dequantized().values)
  }

  @Test(arguments: BlockType.allCases)
  func codesAndScalesStandForTheSameNumbers(type: BlockType) throws {
    let (blocks, values) = try golden(type)
    guard type != .iq4nl, type != .iq4xs else {
      #expect(type.scheme == nil)
      #expect(throws: SchemeError.self) { try blocks.quantized() }
      return
    }
    let scheme = try #require(type.scheme)
    let weight = try blocks.quantized()
    #expect(weight.format.name == scheme.format.name)
    #expect(scheme.granularity == .group(weight.shape[1] / weight.levels[0].columns))
    #expect(!scheme.symmetric || weight.zeroPoints == nil)
    let hasMinima = [BlockType.q41, .q51, .q2K, .q4K, .q5K].contains(type)
    let found = weight.dequantized().values
    let distance = zip(found, values).reduce(0) { max($0, abs($1.0 - $1.1)) }
    let largest = values.reduce(0) { max($0, abs($1)) }
    #expect(distance <= (hasMinima ? 0x1p-20 * largest : 0), "\(distance)")
  }

  /// Files keep codes under scales of 0, which stand for nothing but the minimum.
  @Test(arguments: [Float(0), 2.5, -3])
  func scalesOfZeroBecomeOnesThatAreNot(minimum: Float) throws {
    func half(_ x: Float) -> [UInt8] {
      Tensor([x]).converted(to: .float16).withBytes { Array($0) }
    }
    let codes = (0..<16).map { UInt8($0 * 17) }
    let plain = try BlockMatrix(
      shape: [1, 32], type: .q40, bytes: tensor([0, 0] + codes)
    ).quantized()
    #expect(plain.levels[0].values == [1] && plain.dequantized().values.allSatisfy { $0 == 0 })
    let weight = try BlockMatrix(
      shape: [1, 32], type: .q41, bytes: tensor([0, 0] + half(minimum) + codes)
    ).quantized()
    #expect(weight.levels[0].values.allSatisfy { $0 > 0 })
    #expect(weight.dequantized().values.allSatisfy { $0 == minimum })
    let infinite = try BlockMatrix(shape: [1, 32], type: .q40, bytes: tensor([0, 0x7C] + codes))
    #expect(throws: SchemeError.self) { try infinite.quantized() }
  }

  @Test(arguments: [BlockType.q40, .q6K, .mxfp4])
  func rowsInRotaryOrderArePutBack(type: BlockType) throws {
    let stored = try repeated(type, rows: 32)
    let ordered = try repeated(type, rows: 32, rowOrder: .interleavedHeads(width: 8))
    // Row i of a head's first half is the even row 2i, of its second half the odd row 2i + 1.
    let order = [0, 2, 4, 6, 1, 3, 5, 7]
    let rows = (0..<32).map { $0 / 8 * 8 + order[$0 % 8] }
    let expected = stored.rows(rows).values
    #expect(ordered.dequantized().values == expected)
    #expect(unpacked(ordered.packed()) == expected)
    let bytes = try BlockMatrix(shape: [32, 512], type: type, bytes: ordered.orderedBytes())
    #expect(bytes.dequantized().values == expected)
  }

  @Test func onlyTheRowsAskedForAreRead() throws {
    let matrix = try repeated(.q5K, rows: 6)
    let all = matrix.dequantized().values
    let expected = [4, 0, 4].flatMap { (row: Int) in Array(all[row * 512..<(row + 1) * 512]) }
    #expect(matrix.rows([4, 0, 4]).values == expected)
  }

  @Test func powersOfTwoAreHalvesWhereTheyFit() throws {
    var bytes = [UInt8](repeating: 0x21, count: 17 * 2)
    (bytes[0], bytes[17]) = (104, 143)
    let fitting = try BlockMatrix(shape: [1, 64], type: .mxfp4, bytes: tensor(bytes))
    #expect(fitting.packedLayout.scaleType == .float16)
    #expect(unpacked(fitting.packed()) == fitting.dequantized().values)
    bytes[0] = 103
    let small = try BlockMatrix(shape: [1, 64], type: .mxfp4, bytes: tensor(bytes))
    #expect(small.packedLayout.scaleType == .float32)
    #expect(unpacked(small.packed()) == small.dequantized().values)
    // Where all codes are 0 or −0 the scale does not matter.
    bytes.replaceSubrange(0..<17, with: [0] + [UInt8](repeating: 0x80, count: 16))
    let zeros = try BlockMatrix(shape: [1, 64], type: .mxfp4, bytes: tensor(bytes))
    #expect(zeros.packedLayout.scaleType == .float16)
    #expect(unpacked(zeros.packed()) == zeros.dequantized().values)
  }

  @Test func whatDoesNotFitIsRefused() throws {
    let bytes = tensor([UInt8](repeating: 0, count: 36))
    #expect(throws: SchemeError.self) {
      try BlockMatrix(shape: [1, 48], type: .q40, bytes: bytes)
    }
    #expect(throws: SchemeError.self) {
      try BlockMatrix(shape: [1, 32], type: .q40, bytes: bytes)
    }
    #expect(throws: SchemeError.self) {
      try BlockMatrix(
        shape: [2, 32], type: .q40, bytes: bytes, rowOrder: .interleavedHeads(width: 4))
    }
    #expect(BlockType.q4K.byteCount(of: [Int.max / 2, 1 << 20]) == nil)
    #expect(BlockType(name: "q4_k") == .q4K)
    #expect(BlockType(name: "q9_9") == nil)
  }

  /// The numbers of a packed matrix by the definition in HalftoneProducts.h.
  private func unpacked(_ matrix: PackedMatrix) -> [Float] {
    matrix.withKernelMatrix { m in
      let m = m.pointee
      let stride = (m.columns + 31) / 32 * 32
      let groups = m.group >= m.columns ? 1 : (m.columns + m.group - 1) / m.group
      var codes = [UInt8](repeating: 0, count: 16 * stride)
      var result: [Float] = []
      for row in 0..<m.rows {
        if row % 16 == 0 {
          halftone_unpack_panel(
            m.codes + row / 16 * stride / 32 * 64 * Int(m.bits), stride, m.bits, &codes)
        }
        for j in 0..<m.columns {
          let cell = (row / 16 * groups + (m.group >= m.columns ? 0 : j / m.group)) * 16 + row % 16
          let superCell = (row / 16 * ((m.columns + 255) / 256) + j / 256) * 16 + row % 16
          let code = codes[row % 16 * stride + j]
          let value = Int(m.table.map { $0[Int(code)] } ?? code) - Int(m.zero)
          let scale = scale(m, m.scales, cell, superCell, isMinimum: false)
          var number = scale * Float(value)
          if let minima = m.minima {
            number += self.scale(m, minima, cell, superCell, isMinimum: true)
          }
          result.append(number)
        }
      }
      return result
    }
  }

  private func scale(
    _ m: halftone_matrix, _ table: UnsafeRawPointer?, _ cell: Int, _ superCell: Int,
    isMinimum: Bool
  ) -> Float {
    guard let table else { return .nan }
    switch m.scale_type {
    case halftone_scale_f32: return table.load(fromByteOffset: 4 * cell, as: Float.self)
    case halftone_scale_f16:
      return Float(Float16(bitPattern: table.load(fromByteOffset: 2 * cell, as: UInt16.self)))
    default:
      let factors = isMinimum ? m.super_minima : m.super_scales
      let factor = factors.map { Float(Float16(bitPattern: $0[superCell])) } ?? .nan
      return isMinimum
        ? factor * Float(table.load(fromByteOffset: cell, as: UInt8.self))
        : factor * Float(table.load(fromByteOffset: cell, as: Int8.self))
    }
  }
}
