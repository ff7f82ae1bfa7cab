import CHalftoneKernels
import HalftoneLayers
import Testing

@Suite("Cache of a sequence")
struct SequenceCacheTests {
  @Test(
    "bytes are those of the codes and the scales of whole blocks of sixteen positions",
    arguments: [
      // 2 blocks × keys and values × 3 heads × 32 positions × (bytes of 40 elements + 2 scales)
      (CacheType.f16, 2 * 2 * 3 * 32 * 80),
      (.int8, 2 * 2 * 3 * 32 * (40 + 8)),
      (.int4, 2 * 2 * 3 * 32 * (20 + 8)),
    ])
  func bytes(type: CacheType, expected: Int) throws {
    let cache = try SequenceCache(blocks: 2, keyHeads: 3, width: 40, capacity: 17, type: type)
    #expect(cache.byteCount == expected)
    #expect(cache.capacity == 17)
  }

  @Test("what one block stores, and only that block, is attended to", arguments: CacheType.allCases)
  func storesAndAttends(type: CacheType) throws {
    let cache = try SequenceCache(blocks: 3, keyHeads: 2, width: 34, capacity: 20, type: type)
    let kernels = try #require(halftone_attention_best()).pointee
    let query = [Float](repeating: 1, count: 2 * 34)
    for block in 0..<3 {
      // Every position holds the same value, so their average is that value.
      let values = [Float](repeating: Float(block + 1), count: 20 * 2 * 34)
      cache.withCache(block: block) { kernels.store($0, 0, values, values, 2 * 34, 20) }
    }
    cache.advance(by: 20)
    for block in 0..<3 {
      var out = [Float](repeating: 0, count: 2 * 34)
      cache.withCache(block: block) {
        for head in 0..<2 { kernels.attend($0, head, 1, query, &out, 2 * 34, 19, 1, 0, 0.1) }
      }
      let near = out.filter { abs($0 - Float(block + 1)) < 1e-5 }
      #expect(near.count == out.count, "block \(block)")
    }
  }

  @Test("positions are counted, refused beyond the capacity, and forgotten")
  func counting() throws {
    let cache = try SequenceCache(blocks: 1, keyHeads: 1, width: 8, capacity: 10, type: .int8)
    try cache.reserve(10)
    cache.advance(by: 7)
    #expect(cache.count == 7)
    try cache.reserve(3)
    let error = #expect(throws: KeyValueCacheError.self) { try cache.reserve(4) }
    #expect(error?.capacity == 10 && error?.count == 7 && error?.requested == 4)
    cache.truncate(to: 2)
    #expect(cache.count == 2)
    try cache.reserve(8)
  }

  @Test(
    "shapes that no machine or kernel can serve are refused",
    arguments: [
      (1, 1, 7, 10), (1, 1, 514, 10), (1 << 40, 1 << 20, 64, 1), (1, 1 << 30, 512, 1 << 40),
      (1, 1, 2, Int.max), (4, 8, 64, 1 << 44),
    ])
  func refused(blocks: Int, keyHeads: Int, width: Int, capacity: Int) {
    for type in CacheType.allCases {
      #expect(throws: SequenceCacheError.self) {
        try SequenceCache(
          blocks: blocks, keyHeads: keyHeads, width: width, capacity: capacity, type: type)
      }
    }
  }
}
