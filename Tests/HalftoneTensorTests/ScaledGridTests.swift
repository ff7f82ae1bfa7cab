import Foundation
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Uniform grids in the convention of compressed-tensors, and tables of them.
@Suite struct ScaledGridTests {
  private struct Golden: Decodable {
    let bits: Int
    let symmetric: Bool
    let minimum: Float
    let maximum: Float
    let scale: Float
    let zero: Float
    let x: [Float]
    let codes: [Int8]
    let values: [Float]
  }

  @Test func agreesWithCompressedTensors() throws {
    let data = try Repository.data("Tests/HalftoneTensorTests/Golden/uniform-grids.json")
    let cases = try JSONDecoder().decode([Golden].self, from: data)
    #expect(cases.count == 70)
    for golden in cases {
      let grid = ScaledGrid(
        covering: golden.minimum, golden.maximum, bits: golden.bits, symmetric: golden.symmetric)
      #expect(grid.scale == golden.scale && grid.zero == golden.zero)
      #expect(codes(golden.x, grid) == golden.codes)
      #expect(roundTrip(golden.x, grid) == golden.values)
    }
  }

  private func codes(_ x: [Float], _ grid: ScaledGrid) -> [Int8] {
    var codes = [Int8](repeating: 0, count: x.count)
    x.withUnsafeBufferPointer { x in
      codes.withUnsafeMutableBufferPointer { Kernels.quantize(x, grid, $0) }
    }
    return codes
  }

  private func roundTrip(_ x: [Float], _ grid: ScaledGrid) -> [Float] {
    var values = x
    x.withUnsafeBufferPointer { x in
      values.withUnsafeMutableBufferPointer { Kernels.roundTrip(x, grid, $0) }
    }
    return values
  }

  @Test(arguments: 2...8) func symmetricIsItsFormula(bits: Int) {
    let levels = Float(1 << bits)
    for (low, high) in [(Float(-3), Float(2)), (-1, 4), (2, 5), (-5, -2)] {
      let grid = ScaledGrid(covering: low, high, bits: bits, symmetric: true)
      #expect(grid.scale == max(abs(low), abs(high)) / ((levels - 1) / 2))
      #expect(grid.zero == 0 && grid.low == -levels / 2 && grid.high == levels / 2 - 1)
    }
  }

  @Test(arguments: 2...8) func asymmetricHoldsZeroExactly(bits: Int) {
    let steps = Float(1 << bits) - 1
    for (low, high) in [(Float(-3), Float(2)), (-1, 4), (2, 5), (-5, -2), (0, 1), (-1, 0)] {
      let grid = ScaledGrid(covering: low, high, bits: bits, symmetric: false)
      #expect(grid.scale == (max(high, 0) - min(low, 0)) / steps)
      #expect((grid.low...grid.high).contains(grid.zero) && grid.zero.rounded() == grid.zero)
      #expect(roundTrip([0], grid) == [0])
      // Both ends are on the grid but for the rounding of the zero point.
      for end in [low, high] {
        #expect(abs(roundTrip([end], grid)[0] - end) <= grid.scale * 0.5001)
      }
    }
  }

  @Test(arguments: [true, false]) func rangesWithoutAStep(symmetric: Bool) {
    let ranges: [(Float, Float)] = [
      (0, 0), (.infinity, -.infinity), (.nan, .nan), (.nan, 1), (-1, .nan), (-1, .infinity),
      (-.infinity, 1), (-.leastNonzeroMagnitude, .leastNonzeroMagnitude), (-0.0, 0),
    ]
    for (low, high) in ranges {
      let grid = ScaledGrid(covering: low, high, bits: 4, symmetric: symmetric)
      #expect(grid == ScaledGrid(scale: 1, low: -8, high: 7), "\(low)...\(high)")
      #expect(roundTrip([0, 0.4], grid) == [0, 0])
    }
  }

  @Test func largestNumbersHaveASymmetricGrid() {
    let largest = Float.greatestFiniteMagnitude
    let grid = ScaledGrid(covering: -largest, largest, bits: 4, symmetric: true)
    #expect(grid.scale == largest / 7.5)
    #expect(roundTrip([largest, -largest / 2], grid) == [7 * grid.scale, -4 * grid.scale])
  }

  // MARK: - Tables

  private func table(rows: Int, groups: Int) -> GridTable {
    let shape = [rows, groups]
    return GridTable(
      scales: Tensor((0..<rows * groups).map { Float($0 + 1) }, shape: shape),
      zeros: Tensor((0..<rows * groups).map { Float(-$0) }, shape: shape), low: -8, high: 7)
  }

  @Test(arguments: [(1, 1), (4, 1), (4, 3), (1, 3)])
  func runsCoverTheirRows(tableRows: Int, groups: Int) {
    let table = table(rows: tableRows, groups: groups)
    var found: [(grid: ScaledGrid, row: Int, elements: Range<Int>)] = []
    table.forEachRun(rows: 1..<4, columns: 12) { found.append(($0, $1, $2)) }
    #expect(found.flatMap(\.elements) == Array(12..<48))
    #expect(found.count == 3 * groups)
    for (i, run) in found.enumerated() {
      let (row, group) = (1 + i / groups, i % groups)
      #expect(run.row == row && run.elements.count == 12 / groups)
      let cell = Float((tableRows == 1 ? 0 : row) * groups + group)
      #expect(run.grid == ScaledGrid(scale: cell + 1, zero: -cell, low: -8, high: 7))
      #expect(run.grid == table.grid(row: row, group: group))
    }
  }

  @Test func scaledByExponentials() {
    let table = table(rows: 2, groups: 2)
    #expect(
      table.scaled(byExponentialOf: Tensor(repeating: 0, shape: [2, 2])).scales.values
        == table.scales.values)
    let x = normal([2, 2], 1)
    let expected = zip(table.scales.values, x.values).map { Float(Double($0) * exp(Double($1))) }
    let scaled = table.scaled(byExponentialOf: x)
    expectClose(scaled.scales.values, expected, tolerance: 1e-6)
    #expect(scaled.zeros.values == table.zeros.values)
  }

  @Test func tablesThatDoNotFitTrap() async {
    await #expect(processExitsWith: .failure) {
      GridTable(
        scales: Tensor([1, 1], shape: [2, 1]), zeros: Tensor([0, 0], shape: [2, 1]), low: -8,
        high: 7
      ).forEachRun(rows: 0..<3, columns: 4) { _, _, _ in }
    }
    await #expect(processExitsWith: .failure) {
      GridTable(
        scales: Tensor([1, 1], shape: [1, 2]), zeros: Tensor([0, 0], shape: [1, 2]), low: -8,
        high: 7
      ).forEachRun(rows: 0..<1, columns: 3) { _, _, _ in }
    }
  }
}
