// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Foundation
import Testing

/// The sets of attention kernels that this CPU runs besides the generic one.
let fasterAttentionSets = (["avx2", "avx512", "avx512bf16", "neon"] as [String]).filter { name in
  halftone_attention_named(name) != nil
}

func attentionSet(_ name: String) throws -> halftone_attention {
  try #require(halftone_attention_named(name)).pointee
}

/// Memory for one sequence in one block, full of a pattern that no kernel may read as a number.
final class CacheMemory {
  private(set) var cache: halftone_cache
  private let bytes: Int
  private let scales: Int

  init(_ type: halftone_cache_type, heads: Int, width: Int, positions: Int) {
    let capacity = (positions + 15) / 16 * 16
    let floats = type == halftone_cache_f16 ? 0 : heads * capacity * ((width + 31) / 32)
    func allocate(_ count: Int) -> UnsafeMutableRawPointer {
      let memory = UnsafeMutableRawPointer.allocate(byteCount: max(64, count), alignment: 64)
      memset(memory, 0xFF, max(64, count))
      return memory
    }
    func allocateFloats() -> UnsafeMutablePointer<Float>? {
      floats == 0 ? nil : allocate(4 * floats).bindMemory(to: Float.self, capacity: floats)
    }
    scales = floats
    bytes = heads * capacity * halftone_cache_row_bytes(type, width)
    cache = halftone_cache(
      type: type, key_heads: heads, width: width, capacity: capacity, keys: allocate(bytes),
      values: allocate(bytes), key_scales: allocateFloats(),
      value_scales: allocateFloats())
  }

  deinit {
    cache.keys.deallocate()
    cache.values.deallocate()
    cache.key_scales?.deallocate()
    cache.value_scales?.deallocate()
  }

  /// All bytes and scales.
  var contents: [UInt32] {
    let codes = [cache.keys, cache.values].flatMap { memory in
      (0..<bytes).map { UInt32(memory?.load(fromByteOffset: $0, as: UInt8.self) ?? 0) }
    }
    let floats = [cache.key_scales, cache.value_scales].flatMap { memory in
      (0..<scales).map { memory?[$0].bitPattern ?? 0 }
    }
    return codes + floats
  }

  /// Element `element` of a stored key, read as the header describes the layout.
  func key(_ head: Int, _ position: Int, _ element: Int) -> Double {
    let (block, column) = (position / 16 * 16, position % 16)
    let runs = (cache.width + 31) / 32
    let row = halftone_cache_row_bytes(cache.type, cache.width)
    let start = head * cache.capacity + block
    let scale = cache.key_scales?[start * runs + element / 32 * 16 + column]
    return number(cache.keys + start * row, unit: element, lane: column, step: 16, scale)
  }

  func value(_ head: Int, _ position: Int, _ element: Int) -> Double {
    let runs = (cache.width + 31) / 32
    let start = head * cache.capacity + position
    let scale = cache.value_scales?[start * runs + element / 32]
    let row = halftone_cache_row_bytes(cache.type, cache.width)
    return number(cache.values + start * row, unit: element, lane: 0, step: 1, scale)
  }

  /// Element `unit` where neighbouring elements, or bytes of two, lie `step` apart.
  private func number(
    _ base: UnsafeMutableRawPointer, unit: Int, lane: Int, step: Int, _ scale: Float?
  ) -> Double {
    guard let scale else {
      let pattern = base.load(fromByteOffset: 2 * (unit * step + lane), as: UInt16.self)
      return double(half: pattern)
    }
    if cache.type == halftone_cache_i8 {
      let code = base.load(fromByteOffset: unit * step + lane, as: Int8.self)
      return Double(scale) * Double(code)
    }
    let pair = base.load(fromByteOffset: unit / 2 * step + lane, as: UInt8.self)
    return Double(scale) * Double(Int(unit % 2 == 0 ? pair & 15 : pair >> 4) - 8)
  }
}

/// The number that sixteen bits of an IEEE half stand for.
func double(half pattern: UInt16) -> Double {
  let (exponent, fraction) = (Int(pattern >> 10 & 31), Double(pattern & 1023))
  let sign: Double = pattern >> 15 == 1 ? -1 : 1
  if exponent == 31 { return fraction == 0 ? sign * .infinity : .nan }
  if exponent == 0 { return sign * scalbn(fraction, -24) }
  return sign * scalbn(1024 + fraction, exponent - 25)
}

/// One call's shape: queries of the rows `first..<first + rows` against all positions before.
struct AttentionCase: Sendable, CustomTestStringConvertible {
  var type = halftone_cache_f16
  var heads = 1
  var group = 1
  var width = 64
  var first = 0
  var rows = 1
  var window = 0

  var testDescription: String {
    "type \(type.rawValue), \(heads) × \(group) heads of \(width), rows \(first)..<\(positions), "
      + "window \(window)"
  }
  var positions: Int { first + rows }
  var stride: Int { heads * group * width }
  var scale: Float { 1 / Float(width).squareRoot() }
}

/// A filled cache, queries, and their attention in double precision.
struct AttentionProblem {
  let shape: AttentionCase
  let memory: CacheMemory
  let queries: [Float]

  init(_ shape: AttentionCase, seed: UInt64 = 1) throws {
    var random = Generator(seed: seed)
    self.shape = shape
    memory = CacheMemory(
      shape.type, heads: shape.heads, width: shape.width, positions: shape.positions)
    let count = shape.positions * shape.heads * shape.width
    let (keys, values) = (random.uniform(count, -2...2), random.uniform(count, -1...1))
    queries = random.uniform(shape.rows * shape.stride, -2...2)
    try withUnsafePointer(to: memory.cache) {
      try attentionSet("generic").store(
        $0, 0, keys, values, shape.heads * shape.width, shape.positions)
    }
  }

  /// What `set` computes for the rows `range` of the call.
  func attended(_ set: String, _ range: Range<Int>? = nil) throws -> [Float] {
    let kernels = try attentionSet(set)
    let range = range ?? 0..<shape.rows
    return queries.withUnsafeBufferPointer { queries in
      output(range.count * shape.stride) { out in
        guard let base = queries.baseAddress else { return }
        withUnsafePointer(to: memory.cache) { cache in
          for head in 0..<shape.heads {
            kernels.attend(
              cache, head, shape.group, base + range.lowerBound * shape.stride, out, shape.stride,
              shape.first + range.lowerBound, range.count, shape.window, shape.scale)
          }
        }
      }
    }
  }

  /// The exact result and the largest error that the header allows.
  func expected() -> (result: [Double], bound: Double) {
    var result = [Double](repeating: 0, count: queries.count)
    var (largest, spread) = (0.0, 0.0)
    for head in 0..<shape.heads {
      let keys = (0..<shape.positions).map { p in
        (0..<shape.width).map { memory.key(head, p, $0) }
      }
      let values = (0..<shape.positions).map { p in
        (0..<shape.width).map { memory.value(head, p, $0) }
      }
      largest = max(largest, values.joined().map(abs).max() ?? 0)
      for (row, member) in (0..<shape.rows).flatMap({ r in (0..<shape.group).map { (r, $0) } }) {
        let own = shape.first + row
        let low = shape.window > 0 ? max(0, own - shape.window + 1) : 0
        let start = row * shape.stride + (head * shape.group + member) * shape.width
        let query = queries[start..<start + shape.width].map(Double.init)
        let scores = (low...own).map { p in
          let terms = zip(query, keys[p]).map { $0 * $1 * Double(shape.scale) }
          spread = max(spread, terms.map(abs).reduce(0, +))
          return terms.reduce(0, +)
        }
        let top = scores.max() ?? 0
        let shares = scores.map { exp($0 - top) }
        let total = shares.reduce(0, +)
        for (share, position) in zip(shares, low...own) {
          for i in 0..<shape.width { result[start + i] += share / total * values[position][i] }
        }
      }
    }
    return (result, (spread + 8) * 0x1p-22 * largest)
  }
}
