import Foundation
import HalftoneTensor
import Testing

@Suite struct LevelTableTests {
  private static let fp4: [Float] = [
    0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6,
  ]
  private static let tables: [[Float]] = [fp4, [-1, 0, 1], [0, 1], scattered, alternating]

  /// 256 values in no order, two of them not finite.
  private static let scattered: [Float] = (0..<256).map { code in
    if code == 127 { return .nan }
    if code == 9 { return -.infinity }
    return Float((code * 37) % 256) / 7 - 15
  }

  private static let alternating: [Float] = (0..<33).map { code in
    let size = Float(exp2(Double(code) / 2 - 8))
    return code.isMultiple(of: 2) ? size : -size
  }

  /// The nearest of all values in double precision; of two as near the even code, else the larger magnitude.
  private static func nearest(_ x: Float, _ values: [Float]) -> Float {
    var best: (value: Float, distance: Double, code: Int)?
    for (code, value) in values.enumerated() where value.isFinite {
      let distance = abs(Double(value) - Double(x))
      guard let old = best else {
        best = (value, distance, code)
        continue
      }
      if distance < old.distance { best = (value, distance, code) }
      guard distance == old.distance, value != old.value else { continue }
      let even = (old.code % 2 == 0, code % 2 == 0)
      if even.0 == even.1 ? abs(value) > abs(old.value) : even.1 { best = (value, distance, code) }
    }
    return best?.value ?? .nan
  }

  private static func probes(_ values: [Float]) -> [Float] {
    let finite = values.filter(\.isFinite).sorted()
    var result: [Float] = [0, -0.0, 1e6, -1e6]
    for (a, b) in zip(finite, finite.dropFirst()) {
      let middle = (a + b) / 2
      result += [a, b, middle, middle.nextUp, middle.nextDown, a.nextDown, a.nextUp]
    }
    return result + (0..<999).map { Float($0 % 97) * 0.377 - 18 + Float($0) / 1024 }
  }

  @Test(arguments: tables) func theSearchFindsTheNearestValue(_ values: [Float]) {
    let table = LevelTable.shared(values)
    for x in Self.probes(values) {
      let expected = Self.nearest(x, values)
      let found = table.nearest(to: x)
      #expect(found.value == expected, "\(x)")
      #expect(values[found.code] == expected)
    }
    #expect(table.nearest(to: .nan).value == table.low)
    #expect(table.nearest(to: -.infinity).value == table.low)
    #expect(table.nearest(to: .infinity).value == table.high)
    #expect(LevelTable.shared(values) == table)
    #expect(table.low == values.filter(\.isFinite).min())
    #expect(table.high == values.filter(\.isFinite).max())
  }

  @Test(arguments: tables, [Float(1), 0.37])
  func kernelsFindWhatTheSearchFinds(_ values: [Float], scale: Float) {
    let table = LevelTable.shared(values)
    let grid = ScaledGrid(scale: scale, low: table.low, high: table.high, levels: table)
    let x = Self.probes(values).map { $0 * scale }
    var codes = [Int8](repeating: 0, count: x.count)
    var decoded = [Float](repeating: 0, count: x.count)
    var passed = decoded
    x.withUnsafeBufferPointer { x in
      codes.withUnsafeMutableBufferPointer { Kernels.quantize(x, grid, $0) }
      codes.withUnsafeBufferPointer { codes in
        decoded.withUnsafeMutableBufferPointer { Kernels.dequantize(codes, grid, $0) }
      }
      passed.withUnsafeMutableBufferPointer { Kernels.roundTrip(x, grid, $0) }
    }
    for (i, x) in x.enumerated() {
      let expected = table.nearest(to: x / scale)
      #expect(Int(UInt8(bitPattern: codes[i])) == expected.code)
      #expect(decoded[i] == expected.value * scale && passed[i] == decoded[i])
    }
  }

  @Test func gridsReachTheOuterEndOfARange() {
    let fp4 = LevelTable.shared(Self.fp4)
    let grid = ScaledGrid(covering: -3, 12, levels: fp4)
    #expect(grid.scale == 2 && grid.low == -6 && grid.high == 6 && grid.zero == 0)
    for (low, high) in [
      (Float(0), Float(0)), (.nan, 1), (0, .infinity), (0, .leastNonzeroMagnitude),
    ] {
      #expect(ScaledGrid(covering: low, high, levels: fp4).scale == 1)
    }
    let unsigned = LevelTable.shared([0, 1, 2, 4])
    #expect(ScaledGrid(covering: 0, 8, levels: unsigned).scale == 2)
    let lopsided = LevelTable.shared([-2, -1, 0, 1, 2, 4])
    #expect(ScaledGrid(covering: -6, 4, levels: lopsided).scale == 3)
  }
}
