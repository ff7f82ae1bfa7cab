import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Quantized matrices: what their codes stand for, and which cannot be.
@Suite struct QuantizedTensorTests {
  static let granularities = [Granularity.tensor, .channel, .group(4), .group(24)]

  // MARK: - Rounding to a grid

  @Test(arguments: 2...8, [true, false])
  func errorIsAtMostHalfAStep(bits: Int, symmetric: Bool) throws {
    let format = try IntegerFormat(bits: bits)
    let w = weights([6, 24], 1)
    for granularity in Self.granularities {
      let scheme = WeightScheme(
        format: format, granularity: granularity, symmetric: symmetric, range: .minMax)
      let table = try scheme.grids(for: w)
      let quantized = try table.quantize(w, format: format)
      let values = quantized.dequantized().values
      table.forEachRun(rows: 0..<6, columns: 24) { grid, _, run in
        for i in run {
          let x = w.values[i]
          #expect(Double(values[i]) == Double(Float(roundTrip(x, grid))))
          // Symmetric ranges reach half a step past the largest code, and a zero point that was
          // rounded moves both ends by up to half a step: a whole step at the ends.
          let (bottom, top) = (grid.low - grid.zero, grid.high - grid.zero)
          let isInside = x >= bottom * grid.scale && x <= top * grid.scale
          let limit: Float = isInside ? 0.5 : 1
          #expect(abs(values[i] - x) <= limit * grid.scale * 1.00001)
        }
      }
      let again = try table.quantize(quantized.dequantized(), format: format)
      #expect(again.codes.float().values == quantized.codes.float().values)
      #expect(again.dequantized().values == values)
    }
  }

  @Test func everyCodeComesBack() throws {
    for bits in 2...8 {
      let format = try IntegerFormat(bits: bits)
      let all = (format.low...format.high).map { Float($0) }
      let codes = Tensor(all, shape: [1, all.count]).converted(to: .int8)
      let scales = Tensor([0.37], shape: [1, 1])
      let zeros = Tensor([Float(format.low + 1)], shape: [1, 1])
      let quantized = try QuantizedTensor(
        shape: [1, all.count], format: format, codes: codes, levels: [scales], zeroPoints: zeros)
      #expect(quantized.dequantized().values == all.map { ($0 - zeros.scalar) * 0.37 })
      let table = try #require(quantized.gridTable)
      let again = try table.quantize(quantized.dequantized(), format: format)
      #expect(again.codes.float().values == all)
      #expect(again.zeroPoints?.values == zeros.values)
    }
  }

  @Test func zeroPointsThatAreAllZeroAreLeftOut() throws {
    let format = try IntegerFormat(bits: 4)
    let table = try WeightScheme(format: format).grids(for: weights([3, 8], 2))
    #expect(try table.quantize(weights([3, 8], 2), format: format).zeroPoints == nil)
  }

  // MARK: - What codes stand for

  /// The definition, written once more.
  private func definition(_ q: QuantizedTensor, _ values: (Int) -> Float) -> [Float] {
    let (rows, columns) = (q.shape[0], q.shape[1])
    let codes = q.codes.float().values.map { Int($0) }
    func cell(_ table: Tensor, _ i: Int, _ j: Int) -> Float {
      let (height, width) = (rows / table.shape[0], columns / table.shape[1])
      return table.values[i / height * table.shape[1] + j / width]
    }
    var result = (0..<rows * columns).map { e in
      let (i, j) = (e / columns, e % columns)
      let offset = q.zeroPoints.map { cell($0, i, j) } ?? 0
      let scale = q.levels.reduce(1) { $0 * cell($1, i, j) }
      return (values(codes[e]) - offset) * scale
    }
    for (at, value) in zip(q.outliers?.positions ?? [], q.outliers?.values ?? []) {
      result[at] = value
    }
    return result
  }

  @Test(arguments: [[1, 1], [6, 1], [6, 4], [6, 8], [1, 4], [2, 1], [3, 2]], [true, false])
  func oneLevelOfAnyTiling(shape: [Int], shifted: Bool) throws {
    let format = try IntegerFormat(bits: 5)
    let scales = weights(shape, 3)
    let quantized = try QuantizedTensor(
      shape: [6, 8], format: format, codes: codes([6, 8], -16...15, 4), levels: [scales],
      zeroPoints: shifted ? codes(shape, -3...3, 5).float() : nil)
    // Groups of rows have a kernel; other tiles take the general way, with the same bits.
    #expect((quantized.gridTable != nil) == (shape == [1, 1] || shape[0] == 6))
    #expect(quantized.dequantized().values == definition(quantized) { Float($0) })
  }

  /// A second level of ones leaves the values as they are; of more than one number, it has no kernel.
  @Test func generalWayEqualsTheKernels() throws {
    let format = try IntegerFormat(bits: 8)
    let zeros = codes([6, 4], -128...127, 8).float()
    let (stored, scales) = (codes([6, 64], -128...127, 6), weights([6, 4], 7))
    let fast = try QuantizedTensor(
      shape: [6, 64], format: format, codes: stored, levels: [scales], zeroPoints: zeros)
    let general = try QuantizedTensor(
      shape: [6, 64], format: format, codes: stored,
      levels: [scales, Tensor(repeating: 1, shape: [1, 2])], zeroPoints: zeros)
    #expect(fast.gridTable != nil && general.gridTable == nil)
    #expect(fast.dequantized().values == general.dequantized().values)
  }

  @Test func twoLevelScales() throws {
    let quantized = try QuantizedTensor(
      shape: [4, 8], format: try IntegerFormat(bits: 4), codes: codes([4, 8], -8...7, 9),
      levels: [weights([4, 4], 10), weights([4, 1], 11)],
      zeroPoints: codes([4, 4], -8...7, 12).float())
    #expect(quantized.gridTable?.rowUnits?.shape == [4, 1])
    #expect(quantized.dequantized().values == definition(quantized) { Float($0) })
  }

  @Test func outliersReplaceTheirElements() throws {
    let quantized = try QuantizedTensor(
      shape: [4, 8], format: try IntegerFormat(bits: 4), codes: codes([4, 8], -8...7, 13),
      levels: [weights([4, 1], 14)],
      outliers: OutlierSet(positions: [0, 9, 31], values: [100, -200, 0.125]))
    let values = quantized.dequantized().values
    #expect(values[0] == 100 && values[9] == -200 && values[31] == 0.125)
    #expect(values == definition(quantized) { Float($0) })
    // 32 codes of 4 bits, 4 scales of 2 bytes, 3 outliers of a value and a position.
    #expect(quantized.packedByteCount == 16 + 8 + 24)
  }

  @Test func packedBytesCountEverything() throws {
    let quantized = try QuantizedTensor(
      shape: [3, 5], format: try IntegerFormat(bits: 3), codes: codes([3, 5], -4...3, 15),
      levels: [weights([3, 1], 16)], zeroPoints: codes([3, 1], -4...3, 17).float())
    // ⌈45/8⌉ for the codes, three scales, ⌈9/8⌉ for the zero points.
    #expect(quantized.packedByteCount == 6 + 6 + 2)
  }

  // MARK: - What cannot be

  @Test func invalidPartsThrow() throws {
    let format = try IntegerFormat(bits: 4)
    let (stored, scales) = (codes([4, 8], -8...7, 18), Tensor(repeating: 1, shape: [4, 1]))
    func expectError(
      _ start: String, shape: [Int] = [4, 8], codes other: Tensor? = nil, levels: [Tensor]? = nil,
      zeros: Tensor? = nil, outliers: OutlierSet? = nil,
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      let error = #expect(throws: SchemeError.self, sourceLocation: sourceLocation) {
        try QuantizedTensor(
          shape: shape, format: format, codes: other ?? stored, levels: levels ?? [scales],
          zeroPoints: zeros, outliers: outliers)
      }
      #expect(
        error?.description.hasPrefix(start) == true, "\(error?.description ?? "none")",
        sourceLocation: sourceLocation)
    }
    expectError("codes [4, 8] int8 for a matrix [8, 4]", shape: [8, 4])
    expectError("codes [4, 8] int8 for a matrix [32]", shape: [32])
    expectError("codes [4, 8] float32 for", codes: stored.float())
    expectError("scales [] do not divide", levels: [])
    for shape in [[3, 1], [4, 3], [8, 1], [0, 1], [4, 0], [4]] {
      expectError("scales [\(shape)] do not", levels: [Tensor(repeating: 1, shape: shape)])
    }
    expectError("scales [[4, 1]] do not", levels: [scales.converted(to: .float16)])
    expectError("zero points must be floats", zeros: Tensor(repeating: 0, shape: [1, 1]))
    expectError("zero points must be floats", zeros: scales.converted(to: .int8))
    for position in [-1, 32, Int.max] {
      expectError("outliers lie outside", outliers: OutlierSet(positions: [position], values: [1]))
    }
    for shape in [[0, 8], [4, 0]] {
      let empty = Tensor([], shape: shape).converted(to: .int8)
      expectError("a \(shape) matrix has no elements", shape: shape, codes: empty)
    }
  }
}
