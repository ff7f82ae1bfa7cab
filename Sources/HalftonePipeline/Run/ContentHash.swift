public import Foundation
import HalftoneTensor

/// A fast 64-bit hash of bytes, to notice that a file changed; no defence against forgery.
public enum ContentHash {
  private static let piece = 1 << 20

  /// The hash of all bytes: pieces of a mebibyte in parallel, combined in order.
  public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let count = (bytes.count + piece - 1) / piece
    var hashes = [UInt64](repeating: 0, count: count)
    hashes.withUnsafeMutableBufferPointer { hashes in
      nonisolated(unsafe) let hashes = hashes
      nonisolated(unsafe) let bytes = bytes
      parallelFor(count) { index in
        let end = min(bytes.count, (index + 1) * piece)
        hashes[index] = serial(UnsafeRawBufferPointer(rebasing: bytes[index * piece..<end]))
      }
    }
    return hashes.reduce(mix(UInt64(bytes.count))) { mix($0 ^ $1) }
  }

  public static func of(_ data: Data) -> UInt64 { data.withUnsafeBytes { of($0) } }

  /// Four lanes of multiply and rotate over words of eight bytes, as in xxHash's design.
  private static func serial(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var lanes = SIMD4<UInt64>(0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F, 1, 2)
    let prime = SIMD4<UInt64>(repeating: 0x9FB2_1C65_1E98_DF25)
    var offset = 0
    while offset + 32 <= bytes.count {
      let words = bytes.loadUnaligned(fromByteOffset: offset, as: SIMD4<UInt64>.self)
      lanes = (lanes ^ words) &* prime
      lanes = (lanes &<< 29) | (lanes &>> 35)
      offset += 32
    }
    var hash = mix(lanes[0]) ^ mix(lanes[1] &+ 1) ^ mix(lanes[2] &+ 2) ^ mix(lanes[3] &+ 3)
    for byte in bytes[offset...] { hash = mix(hash ^ UInt64(byte)) }
    return mix(hash ^ UInt64(bytes.count))
  }

  /// The finaliser of splitmix64: every bit depends on every bit.
  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
