import Foundation
import HalftoneTensor

/// A value of a GGUF file's metadata.
public enum GGUFValue: Sendable {
  case integer(Int)
  /// Also whole numbers from 2^63 on.
  case float(Double)
  case bool(Bool)
  /// Bytes that are UTF-8 by the format, but need not be in a file.
  case string([UInt8])
  case array(GGUFArray)

  public var int: Int? { if case .integer(let value) = self { value } else { nil } }

  /// The number, whole or not.
  public var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .float(let value): value
    default: nil
    }
  }

  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

  public var string: String? {
    if case .string(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil }
  }

  public var array: GGUFArray? { if case .array(let value) = self { value } else { nil } }
}

/// The number that says what a value is.
enum GGUFValueType: UInt32, Sendable {
  case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64
  case float64

  /// The bytes of one value; nil where they vary.
  var byteCount: Int? {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    case .string, .array: nil
    }
  }

  /// The number at `place`, whose bytes are there; nil for strings and arrays.
  func number(_ place: UnsafeRawPointer) -> GGUFValue? {
    func load<T: FixedWidthInteger>(_: T.Type) -> T {
      T(littleEndian: place.loadUnaligned(as: T.self))
    }
    func whole<T: FixedWidthInteger>(_ type: T.Type) -> GGUFValue {
      let value = load(type)
      return Int(exactly: value).map(GGUFValue.integer) ?? .float(Double(value))
    }
    return switch self {
    case .uint8: whole(UInt8.self)
    case .int8: whole(Int8.self)
    case .uint16: whole(UInt16.self)
    case .int16: whole(Int16.self)
    case .uint32: whole(UInt32.self)
    case .int32: whole(Int32.self)
    case .uint64: whole(UInt64.self)
    case .int64: whole(Int64.self)
    case .float32: .float(Double(Float(bitPattern: load(UInt32.self))))
    case .float64: .float(Double(bitPattern: load(UInt64.self)))
    case .bool: .bool(load(UInt8.self) != 0)
    case .string, .array: nil
    }
  }
}

/// A list in a GGUF file's metadata, left in the mapped file until it is asked for.
public struct GGUFArray: Sendable {
  public let count: Int
  let type: GGUFValueType
  /// The elements' bytes, which have been checked.
  let range: Range<Int>
  let file: MappedFile

  /// The elements as numbers; nil if they are none.
  public var numbers: [Double]? {
    guard let size = type.byteCount, type != .bool else { return nil }
    return withBytes { base in
      (0..<count).map { type.number(base + $0 * size)?.double ?? .nan }
    }
  }

  /// The elements as whole numbers; nil if they are none.
  public var integers: [Int]? {
    guard let size = type.byteCount, type != .bool else { return nil }
    return withBytes { base in
      var result: [Int] = []
      result.reserveCapacity(count)
      for i in 0..<count {
        guard let value = type.number(base + i * size)?.int else { return nil }
        result.append(value)
      }
      return result
    }
  }

  /// The bytes of each string; nil if the elements are none.
  public var strings: [[UInt8]]? {
    guard type == .string else { return nil }
    return withBytes { base in
      var result: [[UInt8]] = []
      result.reserveCapacity(count)
      var place = base
      for _ in 0..<count {
        let length = Int(UInt64(littleEndian: place.loadUnaligned(as: UInt64.self)))
        result.append(Array(UnsafeRawBufferPointer(start: place + 8, count: length)))
        place += 8 + length
      }
      return result
    }
  }

  /// The places of strings that are one of `wanted`, in their order; makes no other string.
  func indices(of wanted: [String]) -> [Int] {
    guard type == .string else { return [] }
    let wanted = wanted.map { Array($0.utf8) }
    let lengths = Set(wanted.map(\.count))
    return withBytes { base in
      var result: [Int] = []
      var place = base
      for index in 0..<count {
        let length = Int(UInt64(littleEndian: place.loadUnaligned(as: UInt64.self)))
        let bytes = UnsafeRawBufferPointer(start: place + 8, count: length)
        if lengths.contains(length), wanted.contains(where: { bytes.elementsEqual($0) }) {
          result.append(index)
        }
        place += 8 + length
      }
      return result
    }
  }

  private func withBytes<R>(_ body: (UnsafeRawPointer) -> R) -> R {
    withExtendedLifetime(file) {
      // An empty list may end an otherwise empty file, but never without a header before it.
      guard let base = file.bytes.baseAddress else { preconditionFailure("a list without a file") }
      return body(base + range.lowerBound)
    }
  }
}
