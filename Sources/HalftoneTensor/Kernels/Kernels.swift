import CHalftoneKernels

/// The C kernels behind Swift types: lengths are checked here, once.
///
/// Operations of this module call `Kernels.set` on pointers directly.
public enum Kernels {
  nonisolated(unsafe) static let set: halftone_kernels = halftone_kernels_best().pointee

  /// The instruction set in use: "generic", "avx2", "avx512" or "neon".
  public static var instructionSet: String { String(cString: set.name) }

  // MARK: - Conversion

  static func convert(
    _ source: UnsafeRawPointer, _ type: ElementType, to out: UnsafeMutablePointer<Float>,
    _ count: Int
  ) {
    switch type {
    case .float16:
      aligned(source, UInt16.self, count) { set.f16_to_f32($0, out, count) }
    case .bfloat16:
      aligned(source, UInt16.self, count) { set.bf16_to_f32($0, out, count) }
    case .float32: UnsafeMutableRawPointer(out).copyMemory(from: source, byteCount: count * 4)
    case .int8: set.i8_to_f32(source.assumingMemoryBound(to: Int8.self), out, count)
    case .uint8:
      for i in 0..<count { out[i] = Float(source.load(fromByteOffset: i, as: UInt8.self)) }
    case .int32:
      for i in 0..<count {
        out[i] = Float(source.loadUnaligned(fromByteOffset: 4 * i, as: Int32.self))
      }
    }
  }

  /// Files may hold elements at odd addresses, which typed pointers must not point to.
  private static func aligned<T>(
    _ source: UnsafeRawPointer, _ type: T.Type, _ count: Int, _ body: (UnsafePointer<T>) -> Void
  ) {
    if Int(bitPattern: source) % MemoryLayout<T>.alignment == 0 {
      return body(source.assumingMemoryBound(to: T.self))
    }
    withUnsafeTemporaryAllocation(of: T.self, capacity: count) { copy in
      guard let base = copy.baseAddress else { return }
      UnsafeMutableRawPointer(base).copyMemory(
        from: source, byteCount: count * MemoryLayout<T>.stride)
      body(UnsafePointer(base))
    }
  }

  static func convert(
    _ source: UnsafeBufferPointer<Float>, to type: ElementType,
    _ out: UnsafeMutableRawBufferPointer
  ) {
    guard let from = source.baseAddress, let to = out.baseAddress else { return }
    let count = source.count
    switch type {
    case .float16: set.f32_to_f16(from, to.assumingMemoryBound(to: UInt16.self), count)
    case .bfloat16: set.f32_to_bf16(from, to.assumingMemoryBound(to: UInt16.self), count)
    case .float32: to.copyMemory(from: from, byteCount: count * 4)
    case .int8: saturate(from, Int8.self, to, count)
    case .uint8: saturate(from, UInt8.self, to, count)
    case .int32: saturate(from, Int32.self, to, count)
    }
  }

  private static func saturate<T: FixedWidthInteger>(
    _ source: UnsafePointer<Float>, _ type: T.Type, _ out: UnsafeMutableRawPointer, _ count: Int
  ) {
    for i in 0..<count {
      let x = Double(source[i]).rounded(.toNearestOrEven)
      let value: T =
        x.isNaN ? 0 : x <= Double(T.min) ? T.min : x >= Double(T.max) ? T.max : T(x)
      out.storeBytes(of: value, toByteOffset: i * MemoryLayout<T>.stride, as: T.self)
    }
  }

  // MARK: - Arrays

  /// y += alpha·x.
  public static func axpy(
    _ alpha: Float, _ x: UnsafeBufferPointer<Float>, _ y: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(x.count == y.count)
    guard let x = x.baseAddress, let to = y.baseAddress else { return }
    set.axpy(x, alpha, to, y.count)
  }

  /// The smallest and largest element, both NaN if any is.
  public static func extrema(_ x: UnsafeBufferPointer<Float>) -> (minimum: Float, maximum: Float) {
    var low = Float.infinity
    var high = -Float.infinity
    if let base = x.baseAddress { set.extrema(base, x.count, &low, &high) }
    return (low, high)
  }

  public static func dot(_ x: UnsafeBufferPointer<Float>, _ y: UnsafeBufferPointer<Float>) -> Float
  {
    precondition(x.count == y.count)
    guard let a = x.baseAddress, let b = y.baseAddress else { return 0 }
    return set.dot(a, b, x.count)
  }

  /// Σ (x − y)².
  public static func squaredDistance(
    _ x: UnsafeBufferPointer<Float>, _ y: UnsafeBufferPointer<Float>
  ) -> Float {
    precondition(x.count == y.count)
    guard let a = x.baseAddress, let b = y.baseAddress else { return 0 }
    return set.squared_distance(a, b, x.count)
  }

  /// e^x, the same bits on every machine; exactly 1 at 0.
  public static func exp(_ x: Float) -> Float {
    var result: Float = 0
    withUnsafePointer(to: x) { set.exp($0, &result, 1) }
    return result
  }

  // MARK: - Uniform grids

  public static func quantize(
    _ x: UnsafeBufferPointer<Float>, _ grid: ScaledGrid, _ codes: UnsafeMutableBufferPointer<Int8>
  ) {
    precondition(x.count == codes.count)
    guard let from = x.baseAddress, let to = codes.baseAddress else { return }
    set.quantize(from, grid.parameters, to, x.count)
  }

  public static func dequantize(
    _ codes: UnsafeBufferPointer<Int8>, _ grid: ScaledGrid,
    _ out: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(out.count == codes.count)
    guard let from = codes.baseAddress, let to = out.baseAddress else { return }
    set.dequantize(from, grid.parameters, to, out.count)
  }

  /// Each element replaced by the nearest point of the grid.
  public static func roundTrip(
    _ x: UnsafeBufferPointer<Float>, _ grid: ScaledGrid, _ out: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(x.count == out.count)
    guard let from = x.baseAddress, let to = out.baseAddress else { return }
    set.round_trip(from, grid.parameters, to, x.count)
  }

  /// Σ |x − nearest point of the grid|^power.
  public static func roundTripError(
    _ x: UnsafeBufferPointer<Float>, _ grid: ScaledGrid, power: Float
  ) -> Float {
    guard let from = x.baseAddress else { return 0 }
    return set.round_trip_error(from, grid.parameters, power, x.count)
  }

  /// The same where it is at most `limit`, else any number above that, mostly found sooner; of at most 2^16
  /// elements.
  public static func roundTripError(
    _ x: UnsafeBufferPointer<Float>, _ grid: ScaledGrid, power: Float, within limit: Float
  ) -> Float {
    precondition(x.count <= 1 << 16, "\(x.count) elements are too many for a bound of their sum")
    guard let from = x.baseAddress else { return 0 }
    return set.round_trip_error_within(from, grid.parameters, power, limit, x.count)
  }

  // MARK: - Bit streams

  /// Writes `code − low` in `bits` bits each, least significant bit first, without gaps.
  public static func pack(
    _ codes: UnsafeBufferPointer<Int8>, low: Int, bits: Int, _ out: UnsafeMutableRawBufferPointer
  ) {
    precondition((1...8).contains(bits) && out.count == (codes.count * bits + 7) / 8)
    guard let from = codes.baseAddress, let to = out.baseAddress else { return }
    set.pack(from, Int32(low), Int32(bits), to.assumingMemoryBound(to: UInt8.self), codes.count)
  }

  /// The inverse of ``pack(_:low:bits:_:)``.
  public static func unpack(
    _ packed: UnsafeRawBufferPointer, low: Int, bits: Int, _ codes: UnsafeMutableBufferPointer<Int8>
  ) {
    precondition((1...8).contains(bits) && packed.count == (codes.count * bits + 7) / 8)
    guard let from = packed.baseAddress, let to = codes.baseAddress else { return }
    set.unpack(from.assumingMemoryBound(to: UInt8.self), Int32(low), Int32(bits), to, codes.count)
  }
}
