// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Testing

/// The portable set, whose bits the others must give.
func generic() throws -> halftone_kernels {
  try #require(halftone_kernels_named("generic")).pointee
}

/// The sets that this CPU runs besides the generic one.
let fasterSets = (["avx2", "avx512", "neon"] as [String]).filter { name in
  halftone_kernels_named(name) != nil
}

/// Lengths around the sixteen lanes, around 256, and two long ones.
let lengths = Array(0...67) + Array(255...260) + [1000, 4097]

/// SplitMix64.
struct Generator: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func uniform(_ n: Int, _ range: ClosedRange<Float> = -4...4) -> [Float] {
    (0..<n).map { _ in Float.random(in: range, using: &self) }
  }

  /// Finite numbers with zeros of both signs, subnormal numbers, and ties of a grid of 1/4.
  mutating func finite(_ n: Int) -> [Float] {
    (0..<n).map { _ in
      switch Int.random(in: 0..<12, using: &self) {
      case 0: 0
      case 1: -0.0
      case 2: Float(bitPattern: UInt32.random(in: 1..<0x80_0000, using: &self))
      case 3, 4: (Float(Int.random(in: -20...20, using: &self)) + 0.5) * 0.25
      case 5: Float.random(in: -1000...1000, using: &self)
      default: Float.random(in: -4...4, using: &self)
      }
    }
  }

  /// Any bit pattern, infinities and NaNs often among them.
  mutating func anything(_ n: Int) -> [Float] {
    (0..<n).map { _ in
      switch Int.random(in: 0..<10, using: &self) {
      case 0: .infinity
      case 1: -.infinity
      case 2: .nan
      case 3...6: finite(1)[0]
      default: Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &self))
      }
    }
  }

  mutating func integers<T: FixedWidthInteger>(_ n: Int, _ range: ClosedRange<T>) -> [T] {
    (0..<n).map { _ in T.random(in: range, using: &self) }
  }
}

/// What a kernel leaves in a copy of the values that lies unaligned between guards.
///
/// A guard that changed is recorded as a failure.
func written<T: Equatable>(
  _ values: [T], guardedBy sentinel: T, _ body: (UnsafeMutablePointer<T>) -> Void
) -> [T] {
  let guards = [T](repeating: sentinel, count: 17)
  var buffer = guards + values + guards
  buffer.withUnsafeMutableBufferPointer { pointer in
    guard let base = pointer.baseAddress else { return }
    body(base + guards.count)
  }
  #expect(Array(buffer.prefix(17)) == guards && Array(buffer.suffix(17)) == guards)
  return Array(buffer.dropFirst(17).dropLast(17))
}

/// What a kernel writes into a fresh row of floats.
func output(_ n: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) -> [Float] {
  written([Float](repeating: 7.25, count: n), guardedBy: 1.5, body)
}

/// Bit patterns, with one pattern for every NaN.
func bits(_ values: [Float]...) -> [UInt32] {
  values.joined().map { $0.isNaN ? 0x7FC0_0000 : $0.bitPattern }
}

/// The distance in units of the expected value's last place.
func ulps(_ value: Float, _ expected: Double) -> Double {
  let nearest = Float(expected)
  if !nearest.isFinite || !value.isFinite { return value == nearest ? 0 : .infinity }
  return abs(Double(value) - expected) / Double(nearest.ulp)
}

/// Whether every value is within `tolerance`, relative to 1 or to the expected value if larger.
func near(_ values: [Float], _ expected: [Double], _ tolerance: Double) -> Bool {
  values.count == expected.count
    && zip(values, expected).allSatisfy { value, wanted in
      abs(Double(value) - wanted) <= tolerance * max(1, abs(wanted))
    }
}
