/// How the elements of a tensor are stored; arithmetic is always in `Float`.
public enum ElementType: String, Sendable, CaseIterable {
  case float32 = "F32"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int8 = "I8"
  case uint8 = "U8"
  case int32 = "I32"

  /// The bytes one element takes.
  public var byteCount: Int {
    switch self {
    case .float32, .int32: 4
    case .float16, .bfloat16: 2
    case .int8, .uint8: 1
    }
  }
}
