package import CHalftoneKernels
import Synchronization

/// The values of a number format that are not one apart, in the form that kernels search.
///
/// Tables of equal values are one and the same, and stay for the life of the process: there are as many
/// as number formats in use.
public struct LevelTable: Sendable, Hashable {
  // The tables behind it are never written again.
  nonisolated(unsafe) package let pointer: UnsafePointer<halftone_levels>

  /// By the bits of their values.
  private static let known = Mutex<[[UInt32]: LevelTable]>([:])

  /// The table of a format whose code c stands for `values[c]`, at most 256.
  ///
  /// Values that are not finite are passed over when numbers are rounded. A number half-way between two
  /// neighbours takes the code that is even, as stored; where both are or neither is, the larger
  /// magnitude.
  public static func shared(_ values: [Float]) -> LevelTable {
    precondition((2...256).contains(values.count), "a table of \(values.count) values")
    let key = values.map(\.bitPattern)
    return known.withLock { known in
      if let table = known[key] { return table }
      let table = LevelTable(values)
      known[key] = table
      return table
    }
  }

  private init(_ values: [Float]) {
    let levels = Self.rising(values)
    precondition(levels.count >= 2, "a table of \(levels.count) finite values")
    let depth = Int.bitWidth - (levels.count - 1).leadingZeroBitCount
    let size = max(16, 1 << depth)
    func padded(_ table: [Float], with filler: Float) -> UnsafePointer<Float> {
      let memory = UnsafeMutablePointer<Float>.allocate(capacity: size)
      memory.initialize(repeating: filler, count: size)
      memory.update(from: table, count: table.count)
      return UnsafePointer(memory)
    }
    let (first, last) = (levels[0].value, levels[levels.count - 1].value)
    let bounds = [first] + zip(levels, levels.dropFirst()).map { Self.bound($0, $1) }
    let decoded = UnsafeMutablePointer<Float>.allocate(capacity: 256)
    for code in 0..<256 { decoded[code] = values[code % values.count] }
    let memory = UnsafeMutablePointer<halftone_levels>.allocate(capacity: 1)
    memory.initialize(
      to: halftone_levels(
        depth: Int32(depth), values: padded(levels.map(\.value), with: last),
        bounds: padded(bounds, with: .infinity),
        codes: padded(levels.map { Float($0.code) }, with: Float(levels[levels.count - 1].code)),
        decoded: UnsafePointer(decoded), least: first - (levels[1].value - first) / 2,
        most: last + (last - levels[levels.count - 2].value) / 2,
        floats: Self.floats(values)))
    pointer = UnsafePointer(memory)
  }

  /// Sign, exponent and mantissa, where the codes of `values` are that; else zeros.
  ///
  /// A code c below the sign stands for 2^(e−bias)·(1 + m/2^M) with e = c/2^M and m = c mod 2^M, or for
  /// 2^(1−bias)·m/2^M where e = 0; what is not finite comes last. The same with the sign, but for its zero.
  private static func floats(_ values: [Float]) -> halftone_float_codes {
    let half = values.count / 2
    guard values.count >= 8, values.count.nonzeroBitCount == 1, values[0] == 0, values[1].isNormal,
      values[1].significand == 1
    else { return halftone_float_codes() }
    let most = values[..<half].lastIndex(where: \.isFinite) ?? 0
    for mantissa in 0...min(6, half.trailingZeroBitCount - 1) {
      // Code 1 is the smallest subnormal, or the smallest number of all without a mantissa.
      let lowest = Int(values[1].exponent) + mantissa
      let size = 1 << mantissa
      func value(_ code: Int) -> Float {
        let (exponent, fraction) = (code / size, Float(code % size) / Float(size))
        return Float(
          sign: .plus, exponent: lowest + max(exponent, 1) - 1,
          significand: exponent == 0 ? fraction : 1 + fraction)
      }
      let isFloat = (0..<half).allSatisfy { code in
        let (above, below) = (values[code], values[half + code])
        guard code <= most else { return !above.isFinite && !below.isFinite }
        return above == value(code) && (code == 0 ? !(below < 0 || below > 0) : below == -above)
      }
      guard isFloat, (-60...60).contains(lowest) else { continue }
      return halftone_float_codes(
        shift: Int32(23 - mantissa), offset: UInt32((126 + lowest) << 23),
        most: UInt32(most), sign: UInt32(half),
        normal: Float(sign: .plus, exponent: lowest, significand: 1),
        magic: Float(sign: .plus, exponent: lowest - mantissa + 23, significand: 1))
    }
    return halftone_float_codes()
  }

  /// Each finite value once, in rising order, with the first code that stands for it.
  private static func rising(_ values: [Float]) -> [(value: Float, code: Int)] {
    let sorted = values.enumerated().filter { $0.element.isFinite }
      .sorted { ($0.element, $0.offset) < ($1.element, $1.offset) }
      .map { (value: $0.element, code: $0.offset) }
    return sorted.indices.filter { $0 == 0 || sorted[$0].value != sorted[$0 - 1].value }
      .map { sorted[$0] }
  }

  /// The least float that rounds to `upper` rather than to `lower`.
  private static func bound(
    _ lower: (value: Float, code: Int), _ upper: (value: Float, code: Int)
  ) -> Float {
    let middle = (Double(lower.value) + Double(upper.value)) / 2
    let nearest = Float(middle)
    guard Double(nearest) == middle else {
      return Double(nearest) > middle ? nearest : nearest.nextUp
    }
    let even = (lower.code.isMultiple(of: 2), upper.code.isMultiple(of: 2))
    let goesUp = even.0 == even.1 ? abs(upper.value) > abs(lower.value) : even.1
    return goesUp ? nearest : nearest.nextUp
  }

  /// The smallest level.
  public var low: Float { pointer.pointee.values[0] }
  /// The largest level.
  public var high: Float { pointer.pointee.values[(1 << Int(pointer.pointee.depth)) - 1] }

  /// What `code` stands for; tables of fewer than 256 values repeat.
  public func value(of code: Int8) -> Float {
    pointer.pointee.decoded[Int(UInt8(bitPattern: code))]
  }

  /// The smallest level above 0; 1 where there is none.
  public var leastPositive: Float {
    let values = UnsafeBufferPointer(
      start: pointer.pointee.values, count: 1 << Int(pointer.pointee.depth))
    return values.first { $0 > 0 } ?? 1
  }

  /// The place of the last of the rising `bounds` that is <= `x`; 0 where none is, and for no number.
  private func place(of x: Float, among bounds: UnsafePointer<Float>) -> Int {
    var place = 0
    var half = (1 << Int(pointer.pointee.depth)) >> 1
    while half > 0 {
      if x >= bounds[place + half] { place += half }
      half >>= 1
    }
    return place
  }

  /// The distance between the levels around `x`; of the outer two beyond the range.
  func step(at x: Float) -> Float {
    let table = pointer.pointee
    var place = self.place(of: x, among: table.values)
    // The last level is repeated to the end of the table.
    while place > 0, table.values[place] >= high { place -= 1 }
    return table.values[place + 1] - table.values[place]
  }

  /// The codes of the largest level <= `x` and of the smallest >= `x`, one code where `x` is a level and
  /// beyond the range.
  public func codes(around x: Float) -> (below: Int, above: Int) {
    let table = pointer.pointee
    let place = self.place(of: x, among: table.values)
    let below = Int(table.codes[place])
    guard x > table.values[place], place < (1 << Int(table.depth)) - 1 else {
      return (below, below)
    }
    return (below, Int(table.codes[place + 1]))
  }

  /// The level nearest to `x`; the smallest for what is not a number.
  public func nearest(to x: Float) -> (value: Float, code: Int) {
    let table = pointer.pointee
    let place = self.place(of: x, among: table.bounds)
    return (table.values[place], Int(table.codes[place]))
  }
}
