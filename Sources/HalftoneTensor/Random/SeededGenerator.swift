import Foundation

/// The xoshiro256** generator of Blackman and Vigna, seeded through splitmix64.
///
/// The same seed gives the same numbers on every machine, now and in later versions.
public struct SeededGenerator: RandomNumberGenerator, Sendable, Equatable, Codable {
  private var s0: UInt64
  private var s1: UInt64
  private var s2: UInt64
  private var s3: UInt64

  public init(seed: UInt64) {
    var x = seed
    func split() -> UInt64 {
      x &+= 0x9E37_79B9_7F4A_7C15
      var z = x
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
    s0 = split()
    s1 = split()
    s2 = split()
    s3 = split()
  }

  public mutating func next() -> UInt64 {
    func rotate(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }
    let result = rotate(s1 &* 5, 7) &* 9
    let t = s1 << 17
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= t
    s3 = rotate(s3, 45)
    return result
  }

  /// A number drawn uniformly from [0, 1), a multiple of 2⁻²⁴.
  public mutating func uniform() -> Float { Float(next() >> 40) * 0x1p-24 }

  /// A number drawn from the standard normal distribution (Box and Muller).
  public mutating func normal() -> Float {
    let radius = (-2 * Foundation.log(1 - Double(next() >> 11) * 0x1p-53)).squareRoot()
    return Float(radius * Foundation.cos(2 * .pi * Double(next() >> 11) * 0x1p-53))
  }

  /// A whole number drawn uniformly from 0..<bound.
  public mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

  /// `count` numbers of `range` drawn without replacement, or all of them if there are fewer.
  public mutating func draw(_ count: Int, from range: Range<Int>) -> [Int] {
    var pool = Array(range)
    let count = Swift.min(count, pool.count)
    for i in 0..<count { pool.swapAt(i, i + below(pool.count - i)) }
    return Array(pool.prefix(count))
  }
}

extension Tensor {
  /// Independent standard normal elements.
  public static func normal(shape: [Int], using generator: inout SeededGenerator) -> Tensor {
    Tensor((0..<count(of: shape)).map { _ in generator.normal() }, shape: shape)
  }
}
