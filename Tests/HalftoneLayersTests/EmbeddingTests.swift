import HalftoneLayers
import HalftoneTensor
import Testing

@Suite struct EmbeddingTests {
  @Test(arguments: [ElementType.float32, .float16, .bfloat16])
  func `rows are converted from the stored type`(_ type: ElementType) {
    let values = (0..<12).map { Float($0) - 4.5 }  // exact in all three types
    let table = Tensor(values, shape: [4, 3]).converted(to: type)
    let rows = Embedding(weight: .dense(table))([2, 0, 2])
    #expect(rows.shape == [3, 3])
    #expect(rows.values == [1.5, 2.5, 3.5, -4.5, -3.5, -2.5, 1.5, 2.5, 3.5])
  }
}

@Suite struct KeyValueCacheTests {
  @Test func `earlier views stay as they were while rows are appended`() throws {
    let cache = KeyValueCache(capacity: 3)
    let (k1, _) = cache.append(
      layer: 0, Tensor([1, 2, 3, 4], shape: [2, 2]), Tensor([5, 6, 7, 8], shape: [2, 2]))
    try cache.reserve(1)
    let (k2, v2) = cache.append(
      layer: 0, Tensor([9, 10], shape: [1, 2]), Tensor([11, 12], shape: [1, 2]))
    #expect(k1.values == [1, 2, 3, 4])
    #expect(k2.values == [1, 2, 3, 4, 9, 10])
    #expect(v2.values == [5, 6, 7, 8, 11, 12])
    #expect(cache.count == 3)
    let error = #expect(throws: KeyValueCacheError.self) { try cache.reserve(2) }
    #expect(error?.description.contains("holds 3 of at most 3 positions and 2 more") == true)
  }
}
