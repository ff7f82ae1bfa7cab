/// Bytes as a dictionary key.
///
/// `String` compares by canonical equivalence, so "é" composed and decomposed would be one key;
/// vocabularies hold both as different tokens.
struct ByteString: Hashable, Sendable {
  var bytes: [UInt8]

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  init(_ text: String) {
    bytes = Array(text.utf8)
  }

  func hash(into hasher: inout Hasher) {
    bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
  }

  var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// A Unicode scalar read from valid UTF-8, with the number of bytes it took.
struct DecodedScalar {
  var value: UInt32
  var length: Int

  /// Reads the scalar that starts at `index`; in invalid UTF-8 the value is unspecified and the
  /// length stays inside the array.
  @inline(__always)
  init(in bytes: [UInt8], at index: Int) {
    let lead = bytes[index]
    guard lead >= 0x80 else {
      value = UInt32(lead)
      length = 1
      return
    }
    let wanted = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
    length = min(wanted, bytes.count - index)
    value = UInt32(lead) & (0x7F >> UInt32(wanted))
    for offset in 1..<max(length, 1) {
      value = value << 6 | UInt32(bytes[index + offset] & 0x3F)
    }
  }
}

extension Array where Element == UInt8 {
  /// Whether `other` stands at `index`.
  func matches(_ other: [UInt8], at index: Int) -> Bool {
    guard index + other.count <= count else { return false }
    for offset in 0..<other.count where self[index + offset] != other[offset] { return false }
    return true
  }

  /// A copy in which every occurrence of `pattern`, from left to right, became `content`.
  func replacing(bytes pattern: [UInt8], with content: [UInt8]) -> [UInt8] {
    guard let lead = pattern.first else { return self }
    var result: [UInt8] = []
    result.reserveCapacity(count)
    var index = 0
    while index < count {
      if self[index] == lead, matches(pattern, at: index) {
        result += content
        index += pattern.count
      } else {
        result.append(self[index])
        index += 1
      }
    }
    return result
  }
}
