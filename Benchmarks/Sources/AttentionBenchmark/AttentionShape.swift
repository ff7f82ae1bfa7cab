import CHalftoneKernels
import Foundation
import Halftone

/// Queries of the last `rows` of `positions` positions, in every block of a network: more blocks than
/// the processor's caches hold.
struct AttentionShape {
  let keyHeads: Int
  let group: Int
  let width: Int
  let positions: Int
  let rows: Int
  let blocks: Int

  static let all = [
    AttentionShape(keyHeads: 4, group: 8, width: 64, positions: 512, rows: 512, blocks: 1),
    AttentionShape(keyHeads: 4, group: 8, width: 64, positions: 2048, rows: 512, blocks: 1),
    AttentionShape(keyHeads: 8, group: 4, width: 128, positions: 512, rows: 512, blocks: 1),
    AttentionShape(keyHeads: 4, group: 8, width: 64, positions: 1024, rows: 1, blocks: 22),
    AttentionShape(keyHeads: 32, group: 1, width: 64, positions: 1024, rows: 1, blocks: 22),
    AttentionShape(keyHeads: 8, group: 4, width: 128, positions: 2048, rows: 1, blocks: 22),
  ]

  static func report() {
    print("attention, set \(String(cString: halftone_attention_best().pointee.name))")
    for shape in all {
      for type in CacheType.allCases {
        do { try shape.measure(type) } catch { print("  \(error)") }
      }
    }
  }

  /// Prints the time of one block.
  private func measure(_ type: CacheType) throws {
    let cache = try SequenceCache(
      blocks: blocks, keyHeads: keyHeads, width: width, capacity: positions, type: type)
    let kernels = halftone_attention_best().pointee
    let (keys, values) = (
      random(positions * keyHeads * width), random(positions * keyHeads * width)
    )
    for block in 0..<blocks {
      cache.withCache(block: block) {
        kernels.store($0, 0, keys, values, keyHeads * width, positions)
      }
    }
    let stride = keyHeads * group * width
    let queries = random(rows * stride)
    var out = [Float](repeating: 0, count: rows * stride)
    let times = out.withUnsafeMutableBufferPointer { out in
      queries.withUnsafeBufferPointer { queries in
        (0..<repetitions).map { _ in run(cache, queries.baseAddress, out.baseAddress) }
      }
    }
    let pairs = (positions - rows..<positions).reduce(0) { $0 + $1 + 1 } * keyHeads * group
    let time = median(times) / Double(blocks)
    let bytes = Double(cache.byteCount) / Double(blocks)
    print(
      padded("  \(keyHeads)×\(group) heads of \(width), \(rows) of \(positions), \(type)", 44),
      String(
        format: "%9.1f µs %6.0f GFLOP/s %6.1f GB/s", time * 1e6,
        Double(4 * width * pairs) / time * 1e-9, bytes / time * 1e-9))
  }

  private func run(
    _ cache: SequenceCache, _ queries: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<Float>?
  ) -> Double {
    let kernels = halftone_attention_best().pointee
    let (stride, scale) = (keyHeads * group * width, 1 / Float(width).squareRoot())
    let parts = rows >= 64 ? 4 : 1
    return seconds {
      for block in 0..<cache.blockCount {
        cache.withCache(block: block) { memory in
          inParallel(keyHeads * parts) { index in
            guard let queries, let out else { return }
            let (head, part) = (index / parts, index % parts)
            let (first, end) = (rows * part / parts, rows * (part + 1) / parts)
            kernels.attend(
              memory, head, group, queries + first * stride, out + first * stride, stride,
              positions - rows + first, end - first, 0, scale)
          }
        }
      }
    }
  }
}
