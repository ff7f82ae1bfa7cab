/// The printable stand-ins that byte-level vocabularies spell bytes with.
///
/// Bytes 33–126, 161–172 and 174–255 stand for themselves as scalars; the other 68, in increasing
/// order, are U+0100, U+0101, … (a space is U+0120).
struct ByteLevelAlphabet: Sendable {
  /// The UTF-8 of each byte's scalar.
  private let encoded: [[UInt8]]

  /// The byte of each scalar from U+0000 to U+0143; nil where there is none.
  private let decoded: [UInt8?]

  init() {
    var encoded: [[UInt8]] = []
    var decoded = [UInt8?](repeating: nil, count: 0x144)
    var next: UInt32 = 0x100
    for byte in UInt8.min...UInt8.max {
      var value = UInt32(byte)
      switch byte {
      case 33...126, 161...172, 174...255: break
      default:
        value = next
        next += 1
      }
      encoded.append(Unicode.Scalar(value).map { Array(String($0).utf8) } ?? [])
      decoded[Int(value)] = byte
    }
    self.encoded = encoded
    self.decoded = decoded
  }

  /// Appends the stand-in of one byte.
  @inline(__always)
  func append(_ byte: UInt8, to result: inout [UInt8]) {
    let stand = encoded[Int(byte)]
    for unit in stand { result.append(unit) }
  }

  /// The bytes of a token; a token with any scalar outside the alphabet stands for itself.
  func bytes(of token: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var index = 0
    while index < token.count {
      let scalar = DecodedScalar(in: token, at: index)
      guard scalar.value < 0x144, let byte = decoded[Int(scalar.value)] else { return token }
      result.append(byte)
      index += scalar.length
    }
    return result
  }
}
