/// The validated header of a safetensors file: no tensor leaves the file, overlaps or leaves a gap.
struct SafetensorsHeader {
  struct Entry: Sendable {
    let description: TensorDescription
    /// Its bytes, counted from the start of the file.
    let range: Range<Int>
  }

  static let maximumByteCount = 100_000_000
  static let maximumRank = 64

  var entries: [Entry] = []
  var metadata: [String: String] = [:]

  /// Reads the header of the file whose bytes these are; only the header is touched.
  init(_ bytes: UnsafeRawBufferPointer, path: String) throws(CheckpointError) {
    do {
      let text = try Self.text(bytes)
      try readMembers(of: Self.document(text), data: 8 + text.count, end: bytes.count)
      try checkCover(8 + text.count..<bytes.count)
    } catch {
      throw CheckpointError(
        .malformed, "\(path): not a valid safetensors file: \(error.text); fetch or write it again")
    }
  }

  /// The JSON that follows its length.
  private static func text(_ bytes: UnsafeRawBufferPointer) throws(Problem)
    -> UnsafeRawBufferPointer
  {
    guard bytes.count >= 8 else { throw Problem("\(bytes.count) bytes are too few for a header") }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(maximumByteCount) else {
      throw Problem("a header of \(length) bytes is above the limit of \(maximumByteCount)")
    }
    guard Int(length) <= bytes.count - 8 else {
      throw Problem(
        "a header of \(length) bytes in a file of \(bytes.count) bytes; the file may be cut short")
    }
    return UnsafeRawBufferPointer(rebasing: bytes[8..<8 + Int(length)])
  }

  private static func document(_ text: UnsafeRawBufferPointer) throws(Problem) -> JSONObject {
    do {
      let document = try JSONValue(parsing: text, maximumDepth: 8)
      if text.first == UInt8(ascii: "{"), let object = document.object { return object }
    } catch {
      throw Problem("header: \(error)")
    }
    throw Problem("the header is no JSON object")
  }

  private mutating func readMembers(
    of document: JSONObject, data: Int, end: Int
  ) throws(Problem) {
    for (key, value) in document.pairs {
      guard let member = value.object else { throw Problem("\"\(key)\" is no JSON object") }
      do {
        if key == "__metadata__" {
          metadata = try Self.strings(member)
        } else {
          entries.append(try Self.entry(key, member, data: data, end: end))
        }
      } catch {
        throw Problem("\"\(key)\": \(error.text)")
      }
    }
  }

  /// Sorts the entries by place, and checks that they cover `data` without gap or overlap.
  private mutating func checkCover(_ data: Range<Int>) throws(Problem) {
    entries.sort {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }
    var end = data.lowerBound
    for entry in entries {
      guard entry.range.lowerBound == end else {
        throw Problem(
          "\"\(entry.description.name)\" begins at byte \(entry.range.lowerBound), "
            + "but the tensor before it ends at \(end)")
      }
      end = entry.range.upperBound
    }
    guard end == data.upperBound else {
      throw Problem("tensors end at byte \(end) of \(data.upperBound)")
    }
  }

  /// What is wrong with one member.
  private struct Problem: Error {
    let text: String
    init(_ text: String) { self.text = text }
  }

  private static func strings(_ object: JSONObject) throws(Problem) -> [String: String] {
    var result: [String: String] = [:]
    for (key, value) in object.pairs {
      guard let string = value.string else { throw Problem("the value of \"\(key)\" is no string") }
      result[key] = string
    }
    return result
  }

  private static func entry(
    _ name: String, _ object: JSONObject, data: Int, end: Int
  ) throws(Problem) -> Entry {
    for key in object.keys where !["dtype", "shape", "data_offsets"].contains(key) {
      throw Problem("unknown key \"\(key)\"")
    }
    guard let spelling = object["dtype"]?.string else { throw Problem("dtype is missing") }
    guard let type = StoredType(rawValue: spelling) else {
      throw Problem("unknown dtype \"\(spelling)\"")
    }
    guard let shape = whole(object["shape"]), shape.count <= maximumRank else {
      throw Problem("shape is not a list of at most \(maximumRank) whole numbers")
    }
    guard let offsets = whole(object["data_offsets"]), offsets.count == 2 else {
      throw Problem("data_offsets are not two whole numbers")
    }
    guard let byteCount = type.byteCount(of: shape) else {
      throw Problem("\(spelling) \(shape) has no whole number of bytes below 2^63")
    }
    guard offsets[0] <= offsets[1], offsets[1] <= end - data else {
      throw Problem("data_offsets \(offsets) leave the \(end - data) bytes of data")
    }
    guard offsets[1] - offsets[0] == byteCount else {
      throw Problem(
        "data_offsets \(offsets) hold \(offsets[1] - offsets[0]) bytes, "
          + "but \(spelling) \(shape) takes \(byteCount)")
    }
    return Entry(
      description: TensorDescription(name: name, type: type, shape: shape),
      range: data + offsets[0]..<data + offsets[1])
  }

  /// Non-negative whole numbers spelled with digits alone.
  private static func whole(_ value: JSONValue?) -> [Int]? {
    guard let array = value?.array else { return nil }
    var result: [Int] = []
    for element in array {
      guard case .number(let number) = element, let value = Int(number.literal), value >= 0 else {
        return nil
      }
      result.append(value)
    }
    return result
  }
}
