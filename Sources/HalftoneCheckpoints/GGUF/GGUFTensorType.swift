public import HalftoneSchemes

/// How the elements of a GGUF tensor are stored: one by one, or in blocks.
public enum GGUFTensorType: Sendable, Equatable {
  case plain(StoredType)
  case blocks(BlockType)

  private static let plainTypes: [(id: UInt32, type: StoredType)] = [
    (0, .float32), (1, .float16), (30, .bfloat16), (24, .int8), (25, .int16), (26, .int32),
    (27, .int64), (28, .float64),
  ]

  /// Types of the format that are not read, for messages.
  private static let otherNames: [UInt32: String] = [
    4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS",
    19: "IQ1_S", 21: "IQ3_S", 22: "IQ2_S", 29: "IQ1_M", 31: "Q4_0_4_4", 32: "Q4_0_4_8",
    33: "Q4_0_8_8", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8", 40: "NVFP4",
    41: "Q1_0", 42: "Q2_0",
  ]

  /// The type of this number; nil if it is not read.
  public init?(id: UInt32) {
    if let plain = Self.plainTypes.first(where: { $0.id == id }) {
      self = .plain(plain.type)
    } else if let blocks = BlockType(rawValue: id) {
      self = .blocks(blocks)
    } else {
      return nil
    }
  }

  /// The type that tools spell like this, whatever the case: "f16", "q4_0".
  public init?(name: String) {
    let wanted = name.uppercased()
    if let plain = Self.plainTypes.first(where: { $0.type.rawValue == wanted }) {
      self = .plain(plain.type)
    } else if let blocks = BlockType(name: wanted) {
      self = .blocks(blocks)
    } else {
      return nil
    }
  }

  /// The number files give the type; nil for types that GGUF does not have.
  public var id: UInt32? {
    switch self {
    case .plain(let type): Self.plainTypes.first { $0.type == type }?.id
    case .blocks(let type): type.rawValue
    }
  }

  public var name: String {
    switch self {
    case .plain(let type): type.rawValue
    case .blocks(let type): type.name
    }
  }

  /// Elements that are stored together.
  public var blockLength: Int { if case .blocks(let type) = self { type.blockLength } else { 1 } }

  /// The bytes of a tensor of `shape`; nil if rows are not whole blocks, or if that overflows.
  public func byteCount(of shape: [Int]) -> Int? {
    switch self {
    case .plain(let type): type.byteCount(of: shape)
    case .blocks(let type): type.byteCount(of: shape)
    }
  }

  /// "type 16 (IQ2_XXS)", for types that are not read.
  static func describeUnread(_ id: UInt32) -> String {
    "type \(id)" + (otherNames[id].map { " (\($0))" } ?? "")
  }
}
