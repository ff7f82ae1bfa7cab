import HalftoneTensor
import Synchronization

/// How fast all threads together read memory: the bound on decoding, which reads every weight once
/// for each token.
public enum MemoryReading {
  /// Larger than the caches of any processor that this runs on.
  public static let byteCount = 768 << 20
  private typealias Lanes = SIMD8<UInt64>
  private static let pieceBytes = 4 << 20
  /// Independent sums, so that no addition waits for the one before.
  private static let unrolled = 4

  /// Bytes a second, the best of `rounds` passes over ``byteCount`` bytes, which are freed after.
  ///
  /// - Throws: ``GenerationError`` if what is read is not what was written.
  public static func bytesPerSecond(rounds: Int = 3) throws(GenerationError) -> Double {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 4096)
    defer { memory.deallocate() }
    let lanes = memory.bindMemory(to: Lanes.self)
    let pieces = byteCount / pieceBytes
    parallelFor(pieces) { fill(piece($0, of: lanes)) }
    let clock = ContinuousClock()
    var best = 0.0
    for _ in 0..<max(1, rounds) {
      let total = Atomic<UInt64>(0)
      let start = clock.now
      parallelFor(pieces) {
        total.wrappingAdd(sum(UnsafeBufferPointer(piece($0, of: lanes))), ordering: .relaxed)
      }
      let seconds = start.duration(to: clock.now) / .seconds(1)
      // The sum is used, so that no pass can be left out.
      guard total.load(ordering: .relaxed) == UInt64(byteCount / 8) else {
        throw GenerationError("memory does not hold what was written to it")
      }
      best = max(best, Double(byteCount) / max(seconds, 1e-9))
    }
    return best
  }

  private static func piece(
    _ index: Int, of lanes: UnsafeMutableBufferPointer<Lanes>
  ) -> UnsafeMutableBufferPointer<Lanes> {
    let count = pieceBytes / MemoryLayout<Lanes>.stride
    return UnsafeMutableBufferPointer(rebasing: lanes[index * count..<(index + 1) * count])
  }

  private static func fill(_ piece: UnsafeMutableBufferPointer<Lanes>) {
    piece.initialize(repeating: Lanes(repeating: 1))
  }

  private static func sum(_ piece: UnsafeBufferPointer<Lanes>) -> UInt64 {
    var a = Lanes(), b = Lanes(), c = Lanes(), d = Lanes()
    for i in stride(from: 0, to: piece.count, by: unrolled) {
      a &+= piece[i]
      b &+= piece[i + 1]
      c &+= piece[i + 2]
      d &+= piece[i + 3]
    }
    return ((a &+ b) &+ (c &+ d)).wrappedSum()
  }
}
