// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Foundation
import Testing

private let types = [halftone_cache_f16, halftone_cache_i8, halftone_cache_i4]

/// Widths with and without whole vectors and runs, with every kind of group, over tile borders,
/// with windows.
private let cases: [AttentionCase] = types.flatMap { type in
  [2, 8, 32, 34, 48, 64, 80, 128, 256, 512].flatMap { width in
    [
      AttentionCase(type: type, heads: 2, group: 3, width: width, first: 0, rows: 1),
      AttentionCase(type: type, heads: 1, group: 8, width: width, first: 129, rows: 1),
      AttentionCase(type: type, heads: 2, group: 1, width: width, first: 0, rows: 67),
      AttentionCase(type: type, heads: 1, group: 7, width: width, first: 60, rows: 9, window: 16),
      AttentionCase(type: type, heads: 1, group: 2, width: width, first: 150, rows: 5, window: 100),
    ]
  }
}

@Suite("Attention over a cache")
struct AttentionTests {
  @Test("what is stored is the nearest code of the row's scales", arguments: types)
  func stored(type: halftone_cache_type) throws {
    var random = Generator(seed: 3)
    let (heads, width, rows) = (2, 80, 19)
    var keys = random.uniform(rows * heads * width), values = random.uniform(rows * heads * width)
    for i in 32..<64 { keys[i] = 0 }
    for i in 0..<32 { values[i] = -0.0 }
    let memory = CacheMemory(type, heads: heads, width: width, positions: rows)
    try withUnsafePointer(to: memory.cache) {
      try attentionSet("generic").store($0, 0, keys, values, heads * width, rows)
    }
    for (r, h, i) in indices(rows, heads, width) {
      let (start, run) = ((r * heads + h) * width, i / 32 * 32..<min(width, i / 32 * 32 + 32))
      for (row, found) in [(keys, memory.key(h, r, i)), (values, memory.value(h, r, i))] {
        let wanted = Double(row[start + i])
        let largest = run.map { abs(row[start + $0]) }.max() ?? 0
        // Half a step of the grid, and for f16 half an ulp of the largest power of two below.
        let step: Double =
          switch type {
          case halftone_cache_f16: 0x1p-10 * abs(wanted)
          case halftone_cache_i8: Double(largest) / 127
          default: Double(largest) / 7
          }
        #expect(abs(found - wanted) <= step / 2 * (1 + 1e-5), "\(r) \(h) \(i)")
      }
    }
  }

  @Test("rows may be stored in parts, on every set", arguments: types)
  func storedInParts(type: halftone_cache_type) throws {
    var random = Generator(seed: 4)
    let (heads, width, rows) = (3, 48, 40)
    let keys = random.finite(rows * heads * width), values = random.finite(rows * heads * width)
    let stride = heads * width
    func contents(_ set: String, _ parts: [Range<Int>]) throws -> [UInt32] {
      let memory = CacheMemory(type, heads: heads, width: width, positions: rows)
      let kernels = try attentionSet(set)
      withUnsafePointer(to: memory.cache) { cache in
        for part in parts {
          let range = part.lowerBound * stride..<part.upperBound * stride
          kernels.store(
            cache, part.lowerBound, Array(keys[range]), Array(values[range]), stride, part.count)
        }
      }
      return memory.contents
    }
    let whole = try contents("generic", [0..<rows])
    #expect(try contents("generic", [0..<1, 1..<17, 17..<40]) == whole)
    for set in fasterAttentionSets { #expect(try contents(set, [0..<rows]) == whole, "\(set)") }
  }

  @Test("every set attends as double precision does, the fused ones alike", arguments: cases)
  func attended(shape: AttentionCase) throws {
    let problem = try AttentionProblem(shape)
    let (wanted, bound) = problem.expected()
    let results = try (fasterAttentionSets + ["generic"]).map { try problem.attended($0) }
    for result in results {
      let error = zip(result, wanted).map { abs(Double($0) - $1) }.max() ?? .infinity
      #expect(error <= bound)
      let finite = result.filter(\.isFinite)
      #expect(finite.count == wanted.count)
    }
    for result in results.dropLast() { #expect(bits(result) == bits(results[0])) }
  }

  @Test("a row's bits do not depend on the rows beside it", arguments: [0, 50])
  func rowsAlone(window: Int) throws {
    let shape = AttentionCase(
      type: halftone_cache_i8, heads: 2, group: 3, width: 40, first: 33, rows: 70, window: window)
    let problem = try AttentionProblem(shape)
    for set in fasterAttentionSets + ["generic"] {
      let whole = try problem.attended(set)
      let pieces: [Range<Int>] = [0..<1, 1..<30, 30..<70]
      let parts: [[Float]] = try pieces.map { try problem.attended(set, $0) }
      #expect(bits(Array(parts.joined())) == bits(whole), "\(set)")
    }
  }

  @Test("scores far apart leave the largest, near or far from the end", arguments: [3, 130, 199])
  func oneKeyWins(winner: Int) throws {
    let (width, positions) = (16, 200)
    var keys = [Float](repeating: 0, count: positions * width)
    var values = keys
    for p in 0..<positions {
      keys[p * width] = p == winner ? 60 : -60
      values[p * width] = Float(p)
    }
    var query = [Float](repeating: 0, count: width)
    query[0] = 40
    let memory = CacheMemory(halftone_cache_f16, heads: 1, width: width, positions: positions)
    for set in fasterAttentionSets + ["generic"] {
      let kernels = try attentionSet(set)
      let out = withUnsafePointer(to: memory.cache) { cache in
        kernels.store(cache, 0, keys, values, width, positions)
        return output(width) {
          kernels.attend(cache, 0, 1, query, $0, width, positions - 1, 1, 0, 1)
        }
      }
      #expect(out == [Float(winner)] + [Float](repeating: 0, count: width - 1), "\(set)")
    }
  }

  @Test("a NaN among the queries stays in its own row")
  func notANumber() throws {
    let shape = AttentionCase(heads: 1, group: 2, width: 16, first: 70, rows: 2)
    let problem = try AttentionProblem(shape)
    var queries = problem.queries
    queries[0] = .nan
    for set in fasterAttentionSets + ["generic"] {
      let kernels = try attentionSet(set)
      let out = withUnsafePointer(to: problem.memory.cache) { cache in
        output(queries.count) {
          kernels.attend(cache, 0, 2, queries, $0, shape.stride, 70, 2, 0, shape.scale)
        }
      }
      let spoiled = out.prefix(16).filter(\.isNaN)
      #expect(spoiled.count == 16, "\(set)")
      let whole = try problem.attended(set)
      #expect(bits(Array(out.dropFirst(16))) == bits(Array(whole.dropFirst(16))), "\(set)")
    }
  }

  @Test("bytes of a row")
  func rowBytes() {
    #expect(types.map { halftone_cache_row_bytes($0, 80) } == [160, 80, 40])
  }

  @Test("sets are found by name, and the best one is among them")
  func dispatch() throws {
    #expect(halftone_attention_named("sse9") == nil)
    let best = String(cString: try #require(halftone_attention_best()).pointee.name)
    #expect((fasterAttentionSets + ["generic"]).contains(best))
    for name in fasterAttentionSets {
      #expect(String(cString: try attentionSet(name).name) == name)
    }
  }
}

private func indices(_ rows: Int, _ heads: Int, _ width: Int) -> [(Int, Int, Int)] {
  (0..<rows).flatMap { r in (0..<heads).flatMap { h in (0..<width).map { (r, h, $0) } } }
}
