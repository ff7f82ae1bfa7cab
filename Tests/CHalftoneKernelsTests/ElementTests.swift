// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Foundation
import Testing

@Suite("Element by element")
struct ElementTests {
  private func floats(from low: UInt32, through high: UInt32, by step: Int) -> [Float] {
    stride(from: Int(low), through: Int(high), by: step).map {
      Float(bitPattern: UInt32(truncatingIfNeeded: $0))
    }
  }

  private func worst(
    _ a: [Float], _ found: [Float], _ function: (Double) -> Double
  ) -> (ulps: Double, at: Float) {
    zip(a, found).map { (ulps($1, function(Double($0))), $0) }
      .max { $0.0 < $1.0 }.map { (ulps: $0.0, at: $0.1) } ?? (0, 0)
  }

  @Test("exp is within 2 ulp wherever the result is finite, subnormal results included")
  func exponential() throws {
    let kernels = try generic()
    let a =
      floats(from: 0, through: Float(88.722).bitPattern, by: 9973)
      + floats(from: 0x8000_0000, through: Float(-103.9).bitPattern, by: 9973)
    let result = worst(a, output(a.count) { kernels.exp(a, $0, a.count) }) { exp($0) }
    #expect(result.ulps <= 2, "at \(result.at)")
  }

  @Test("log is within 2 ulp on positive numbers")
  func logarithm() throws {
    let kernels = try generic()
    let a =
      floats(from: 1, through: 0x7F7F_FFFF, by: 9973)
      + floats(from: Float(0.99).bitPattern, through: Float(1.01).bitPattern, by: 7)
    let result = worst(a, output(a.count) { kernels.log(a, $0, a.count) }) { log($0) }
    #expect(result.ulps <= 2, "at \(result.at)")
  }

  @Test("exp and log at the ends of their ranges")
  func limits() throws {
    let kernels = try generic()
    let a: [Float] = [0, -0.0, 89, 1000, .infinity, -104, -1e30, -.infinity, .nan]
    #expect(
      bits(output(9) { kernels.exp(a, $0, 9) })
        == bits([1, 1, .infinity, .infinity, .infinity, 0, 0, 0, .nan]))
    let b: [Float] = [1, 0, -0.0, .infinity, -1, -.infinity, .nan]
    #expect(
      bits(output(7) { kernels.log(b, $0, 7) })
        == bits([0, -.infinity, -.infinity, .infinity, .nan, .nan, .nan]))
  }

  @Test("sigmoid follows its formula")
  func sigmoid() throws {
    let kernels = try generic()
    let a = stride(from: Float(-88), through: 100, by: 0.0137).map { $0 } + [.infinity]
    let found = output(a.count) { kernels.sigmoid(a, $0, a.count) }
    let worst = worst(a, found) { 1 / (1 + exp(-$0)) }
    #expect(worst.ulps <= 3, "at \(worst.at)")
    // From -88.73 down the exponential overflows, where the true value is subnormal.
    #expect(output(2) { kernels.sigmoid([-89, -.infinity], $0, 2) } == [0, 0])
  }

  @Test("round is exact for all sizes")
  func round() throws {
    let kernels = try generic()
    let a =
      floats(from: 0, through: UInt32.max, by: 65521)
      + (-64...64).map { Float($0) * 0.5 } + [0x1p22, 0x1p22 + 0.5, 0x1p23 - 0.5, -0x1p22 - 0.5]
    let found = output(a.count) { kernels.round(a, $0, a.count) }
    #expect(bits(found) == bits(a.map { $0.rounded(.toNearestOrEven) }))
  }

  @Test("arithmetic is what Swift's operators give")
  func arithmetic() throws {
    let kernels = try generic()
    var random = Generator(seed: 2)
    let (a, b) = (random.anything(1003), random.anything(1003))
    let n = a.count
    #expect(bits(output(n) { kernels.add(a, b, $0, n) }) == bits(zip(a, b).map { $0 + $1 }))
    #expect(bits(output(n) { kernels.subtract(a, b, $0, n) }) == bits(zip(a, b).map { $0 - $1 }))
    #expect(bits(output(n) { kernels.multiply(a, b, $0, n) }) == bits(zip(a, b).map { $0 * $1 }))
    #expect(bits(output(n) { kernels.scale(a, 0.3, $0, n) }) == bits(a.map { 0.3 * $0 }))
    let moved = written(b, guardedBy: 0) { kernels.axpy(a, 0.3, $0, n) }
    #expect(bits(moved) == bits(zip(a, b).map { $1 + 0.3 * $0 }))
    let clamped = output(n) { kernels.clamp(a, -1, 2, $0, n) }
    #expect(bits(clamped) == bits(a.map { $0.isNaN ? -1 : $0 < -1 ? -1 : $0 > 2 ? 2 : $0 }))
  }
}

@Suite("Reductions")
struct ReductionTests {
  @Test("sums of small integers are exact")
  func exactSums() throws {
    let kernels = try generic()
    var random = Generator(seed: 3)
    for n in lengths {
      let (a, b) = (random.integers(n, -9...9), random.integers(n, -9...9))
      let (x, y) = (a.map { Float($0) }, b.map { Float($0) })
      #expect(kernels.sum(x, n) == Float(a.reduce(0, +)))
      #expect(kernels.dot(x, y, n) == Float(zip(a, b).map(*).reduce(0, +)))
      let distance = zip(a, b).map { ($0 - $1) * ($0 - $1) }.reduce(0, +)
      #expect(kernels.squared_distance(x, y, n) == Float(distance))
    }
  }

  @Test("sums are as good as sixteen float lanes allow")
  func accurateSums() throws {
    let kernels = try generic()
    var random = Generator(seed: 4)
    let (a, b) = (random.uniform(4097), random.uniform(4097))
    let products = zip(a, b).map { Double($0) * Double($1) }
    // 257 additions in a lane, 4 across lanes, one product: each errs by half an ulp at most.
    let bound = 262 * 0x1p-24 * products.map(abs).reduce(0, +)
    #expect(abs(Double(kernels.dot(a, b, 4097)) - products.reduce(0, +)) <= bound)
  }

  @Test("extrema, with NaN wherever it stands, and of nothing")
  func extrema() throws {
    let kernels = try generic()
    var random = Generator(seed: 6)
    for n in lengths {
      var a = random.uniform(n)
      var (low, high): (Float, Float) = (0, 0)
      kernels.extrema(a, n, &low, &high)
      #expect(low == a.min() ?? .infinity && high == a.max() ?? -.infinity)
      guard n > 0 else { continue }
      a[Int.random(in: 0..<n, using: &random)] = .nan
      kernels.extrema(a, n, &low, &high)
      #expect(low.isNaN && high.isNaN)
    }
  }
}
