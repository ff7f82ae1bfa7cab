/// The metadata of a GGUF file to be written, in the order in which it is set.
public struct GGUFMetadata: Sendable {
  private var keys: Set<String> = []
  private var bytes: [UInt8] = []

  public init() {}

  var count: Int { keys.count }

  /// The values as they stand in a file.
  var encoded: [UInt8] { bytes }

  private mutating func begin(_ key: String, _ type: GGUFValueType) {
    precondition(keys.insert(key).inserted, "\(key) is set twice")
    bytes.append(string: key)
    bytes.append(integer: type.rawValue)
  }

  private mutating func beginList(_ key: String, _ type: GGUFValueType, _ count: Int) {
    begin(key, .array)
    bytes.append(integer: type.rawValue)
    bytes.append(integer: UInt64(count))
  }

  public mutating func set(_ key: String, to value: String) {
    begin(key, .string)
    bytes.append(string: value)
  }

  /// A number from 0 to 2^32 − 1; the nearest of them for others.
  public mutating func set(_ key: String, to value: Int) {
    begin(key, .uint32)
    bytes.append(integer: UInt32(clamping: value))
  }

  public mutating func set(_ key: String, to value: UInt16) {
    begin(key, .uint16)
    bytes.append(integer: value)
  }

  public mutating func set(_ key: String, to value: Int32) {
    begin(key, .int32)
    bytes.append(integer: value)
  }

  public mutating func set(_ key: String, to value: Float) {
    begin(key, .float32)
    bytes.append(integer: value.bitPattern)
  }

  public mutating func set(_ key: String, to value: Bool) {
    begin(key, .bool)
    bytes.append(value ? 1 : 0)
  }

  /// Strings as bytes.
  public mutating func set(_ key: String, to values: [[UInt8]]) {
    beginList(key, .string, values.count)
    for value in values {
      bytes.append(integer: UInt64(value.count))
      bytes += value
    }
  }

  public mutating func set(_ key: String, to values: [Float]) {
    beginList(key, .float32, values.count)
    for value in values { bytes.append(integer: value.bitPattern) }
  }

  /// Numbers that fit 32 bits with a sign.
  public mutating func set(_ key: String, to values: [Int]) {
    beginList(key, .int32, values.count)
    for value in values { bytes.append(integer: Int32(value)) }
  }
}

extension [UInt8] {
  mutating func append<T: FixedWidthInteger>(integer: T) {
    Swift.withUnsafeBytes(of: integer.littleEndian) { append(contentsOf: $0) }
  }

  mutating func append(string: String) {
    append(integer: UInt64(string.utf8.count))
    append(contentsOf: string.utf8)
  }
}
