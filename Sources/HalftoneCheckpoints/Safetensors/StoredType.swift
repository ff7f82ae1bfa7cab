public import HalftoneSchemes
public import HalftoneTensor

/// Every element type a safetensors file may name, in the order its reference writer ranks them.
public enum StoredType: String, Sendable, CaseIterable, Comparable {
  case bool = "BOOL"
  case float4 = "F4"
  case float6e2m3 = "F6_E2M3"
  case float6e3m2 = "F6_E3M2"
  case uint8 = "U8"
  case int8 = "I8"
  case float8e5m2 = "F8_E5M2"
  case float8e4m3 = "F8_E4M3"
  case float8e8m0 = "F8_E8M0"
  case float8e4m3fnuz = "F8_E4M3FNUZ"
  case float8e5m2fnuz = "F8_E5M2FNUZ"
  case int16 = "I16"
  case uint16 = "U16"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int32 = "I32"
  case uint32 = "U32"
  case float32 = "F32"
  case complex64 = "C64"
  case float64 = "F64"
  case int64 = "I64"
  case uint64 = "U64"

  public init(_ type: ElementType) {
    self =
      switch type {
      case .float32: .float32
      case .float16: .float16
      case .bfloat16: .bfloat16
      case .int8: .int8
      case .uint8: .uint8
      case .int32: .int32
      }
  }

  /// The bits one element takes.
  public var bits: Int {
    switch self {
    case .float4: 4
    case .float6e2m3, .float6e3m2: 6
    case .bool, .uint8, .int8, .float8e5m2, .float8e4m3, .float8e8m0, .float8e4m3fnuz,
      .float8e5m2fnuz:
      8
    case .int16, .uint16, .float16, .bfloat16: 16
    case .int32, .uint32, .float32: 32
    case .complex64, .float64, .int64, .uint64: 64
    }
  }

  /// The type a ``Tensor`` of these elements has; nil where nothing computes with them.
  public var elementType: ElementType? { ElementType(rawValue: rawValue) }

  private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

  public static func < (a: StoredType, b: StoredType) -> Bool { a.rank < b.rank }

  /// The bytes of a tensor of `shape`; nil if that overflows or is no whole number of bytes.
  public func byteCount(of shape: [Int]) -> Int? {
    // The elements come first, as in the reference reader: [2^40, 2^40, 0] overflows.
    var count = 1
    for length in shape {
      guard length >= 0 else { return nil }
      let product = count.multipliedReportingOverflow(by: length)
      if product.overflow { return nil }
      count = product.partialValue
    }
    let total = count.multipliedReportingOverflow(by: bits)
    guard !total.overflow, total.partialValue % 8 == 0 else { return nil }
    return total.partialValue / 8
  }
}

/// A tensor before its bytes: what it is called, how it is stored, and its shape.
public struct TensorDescription: Sendable, Equatable {
  public let name: String
  /// The type of the elements; U8 where they are in blocks.
  public let type: StoredType
  /// The blocks the elements are in; nil where they are stored one by one.
  public let blocks: BlockType?
  public let shape: [Int]

  public init(name: String, type: StoredType, shape: [Int]) {
    self.name = name
    self.type = type
    self.shape = shape
    blocks = nil
  }

  public init(name: String, blocks: BlockType, shape: [Int]) {
    self.name = name
    self.type = .uint8
    self.shape = shape
    self.blocks = blocks
  }

  /// As tools spell the type: "F16", "Q4_K".
  public var typeName: String { blocks?.name ?? type.rawValue }

  /// The bytes of the elements; 0 for a shape that overflows, which no reader lets through.
  public var byteCount: Int {
    (blocks.map { $0.byteCount(of: shape) } ?? type.byteCount(of: shape)) ?? 0
  }
}
