/// A dense row-major array of numbers, with an optional place in a gradient graph.
///
/// A value: operations return new tensors and never change their arguments. Arithmetic takes
/// `.float32` tensors; ``float()`` converts the other storage types.
public struct Tensor: @unchecked Sendable {
  public let shape: [Int]
  public let elementType: ElementType
  let storage: Storage
  let byteOffset: Int
  var node: GradientNode?

  init(storage: Storage, byteOffset: Int, shape: [Int], elementType: ElementType) {
    self.storage = storage
    self.byteOffset = byteOffset
    self.shape = shape
    self.elementType = elementType
  }

  /// A float tensor whose elements `fill` writes, all of them, in row-major order.
  public init(shape: [Int], filledBy fill: (UnsafeMutableBufferPointer<Float>) -> Void) {
    let count = Tensor.count(of: shape)
    let storage = Storage(byteCount: count * 4)
    fill(
      UnsafeMutableBufferPointer(
        start: storage.base.bindMemory(to: Float.self, capacity: count), count: count))
    self.init(storage: storage, byteOffset: 0, shape: shape, elementType: .float32)
  }

  /// A tensor of any storage type whose bytes `fill` writes, all of them.
  ///
  /// One that is `lasting` shares large pages with others: for weights that are read again and again.
  public init(
    shape: [Int], elementType: ElementType, lasting: Bool = false,
    filledBy fill: (UnsafeMutableRawBufferPointer) throws -> Void
  ) rethrows {
    let count = Tensor.count(of: shape) * elementType.byteCount
    let storage = lasting ? Storage(lasting: count) : Storage(byteCount: count)
    try fill(UnsafeMutableRawBufferPointer(start: storage.base, count: count))
    self.init(storage: storage, byteOffset: 0, shape: shape, elementType: elementType)
  }

  /// A tensor over bytes of a mapped file, which are neither read nor copied until used.
  ///
  /// The caller has checked that the bytes lie inside the file.
  public init(mapping file: MappedFile, offset: Int, elementType: ElementType, shape: [Int]) {
    let count = Tensor.count(of: shape) * elementType.byteCount
    self.init(
      storage: Storage(file: file, offset: offset, byteCount: count), byteOffset: 0, shape: shape,
      elementType: elementType)
  }

  public init(_ values: [Float], shape: [Int]) {
    precondition(values.count == Tensor.count(of: shape), "\(values.count) values for \(shape)")
    self.init(shape: shape) { _ = $0.initialize(from: values) }
  }

  public init(_ values: [Float]) { self.init(values, shape: [values.count]) }

  public init(repeating value: Float, shape: [Int]) {
    self.init(shape: shape) { $0.initialize(repeating: value) }
  }

  /// The number of elements.
  public var count: Int { Tensor.count(of: shape) }

  /// The length of the last axis (1 for a scalar).
  public var columns: Int { shape.last ?? 1 }

  /// The product of all axes but the last.
  public var rows: Int { Tensor.count(of: shape.dropLast()) }

  /// Traps on a negative length, and where the product does not fit.
  static func count(of shape: some Sequence<Int>) -> Int {
    shape.reduce(1) {
      precondition($1 >= 0, "a negative length in a shape")
      return $0 * $1
    }
  }

  /// The bytes of the elements as they are stored.
  public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try withExtendedLifetime(storage) {
      try body(
        UnsafeRawBufferPointer(
          start: storage.base + byteOffset, count: count * elementType.byteCount))
    }
  }

  /// Tells the system that elements in a mapped file will not be needed again soon.
  public func evict() { storage.evict() }

  /// The elements of a float tensor, in row-major order.
  public func withElements<R>(_ body: (UnsafeBufferPointer<Float>) throws -> R) rethrows -> R {
    precondition(elementType == .float32, "elements of a \(elementType.rawValue) tensor as Float")
    return try withExtendedLifetime(storage) {
      try body(UnsafeBufferPointer(start: floats, count: count))
    }
  }

  /// A copy of the elements of a float tensor.
  public var values: [Float] { withElements { Array($0) } }

  /// The one element of a tensor of one element.
  public var scalar: Float {
    precondition(count == 1, "scalar of \(shape)")
    return floats[0]
  }

  /// For operations, whose arguments keep the storage alive while they run.
  var floats: UnsafePointer<Float> {
    precondition(elementType == .float32, "arithmetic on a \(elementType.rawValue) tensor")
    return UnsafePointer((storage.base + byteOffset).assumingMemoryBound(to: Float.self))
  }
}
