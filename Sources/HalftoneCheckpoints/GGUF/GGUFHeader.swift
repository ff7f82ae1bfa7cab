import Foundation
import HalftoneSchemes
import HalftoneTensor

/// The validated header of a GGUF file: every value and every tensor lies inside the file.
struct GGUFHeader {
  struct Tensor: Sendable {
    let name: String
    let type: GGUFTensorType
    /// Outermost axis first, as everywhere but in the file.
    let shape: [Int]
    /// Its bytes, counted from the start of the file.
    let range: Range<Int>
  }

  static let longestName = 64
  static let longestKey = 65_535
  static let longestList = 1 << 30

  private(set) var metadata: [String: GGUFValue] = [:]
  private(set) var keys: [String] = []
  private(set) var tensors: [Tensor] = []
  private let file: MappedFile
  private var reader: GGUFReader

  /// Reads the header of `file`; only the header is touched.
  init(_ file: MappedFile) throws(CheckpointError) {
    self.file = file
    reader = GGUFReader(file.bytes)
    do {
      let counts = try readCounts()
      for index in 0..<counts.values { try readValue(index, of: counts.values) }
      let alignment = try alignment()
      let entries = try readEntries(counts.tensors)
      try place(entries, alignment: alignment)
    } catch {
      throw CheckpointError(
        .malformed, "\(file.path): not a GGUF file that can be read: \(error.text)")
    }
  }

  private mutating func readCounts() throws(GGUFProblem) -> (tensors: Int, values: Int) {
    guard file.bytes.count >= 24, file.bytes.starts(with: "GGUF".utf8) else {
      throw GGUFProblem("it does not begin with \"GGUF\"; name a .gguf file")
    }
    _ = try reader.integer(UInt32.self)
    let version = try reader.integer(UInt32.self)
    guard version == 2 || version == 3 else {
      let isBig = version.byteSwapped == 2 || version.byteSwapped == 3
      throw GGUFProblem(
        isBig
          ? "its numbers are big-endian; convert it for little-endian machines"
          : "version \(version); versions 2 and 3 are read, so convert the model anew")
    }
    let (tensors, values) = (try reader.integer(UInt64.self), try reader.integer(UInt64.self))
    // The least that a tensor and a value take: lengths of names, types, and one byte each.
    let room = UInt64(reader.remaining)
    guard tensors <= room / 33 else {
      throw GGUFProblem("\(tensors) tensors in a file of \(file.bytes.count) bytes; \(Self.again)")
    }
    guard values <= room / 14 else {
      throw GGUFProblem(
        "\(values) metadata values in a file of \(file.bytes.count) bytes; \(Self.again)")
    }
    return (Int(tensors), Int(values))
  }

  private static let again = "the file is cut short or damaged; fetch it again"

  // MARK: - Values

  private mutating func readValue(_ index: Int, of count: Int) throws(GGUFProblem) {
    let key: String
    do {
      key = String(decoding: try reader.string(upTo: Self.longestKey), as: UTF8.self)
    } catch {
      throw GGUFProblem("the key of metadata value \(index) of \(count): \(error.text)")
    }
    do throws(GGUFProblem) {
      let number = try reader.integer(UInt32.self)
      guard let type = GGUFValueType(rawValue: number) else {
        throw GGUFProblem("value type \(number) does not exist")
      }
      guard metadata.updateValue(try value(type), forKey: key) == nil else {
        throw GGUFProblem("the key occurs twice")
      }
      keys.append(key)
    } catch {
      throw GGUFProblem("metadata \"\(key)\": \(error.text)")
    }
  }

  private mutating func value(_ type: GGUFValueType) throws(GGUFProblem) -> GGUFValue {
    switch type {
    case .string: return .string(Array(try reader.string(upTo: Self.longestList)))
    case .array: return .array(try array())
    default:
      guard let size = type.byteCount, let number = type.number(try reader.bytes(size)) else {
        throw GGUFProblem("no number")
      }
      return number
    }
  }

  private mutating func array() throws(GGUFProblem) -> GGUFArray {
    let number = try reader.integer(UInt32.self)
    let count = try reader.integer(UInt64.self)
    guard let type = GGUFValueType(rawValue: number), type != .array else {
      throw GGUFProblem("a list of values of type \(number), which are not read")
    }
    guard count <= UInt64(Self.longestList) else {
      throw GGUFProblem("a list of \(count) values is above the limit of \(Self.longestList)")
    }
    let start = reader.position
    if let size = type.byteCount {
      _ = try reader.bytes(Int(count) * size)
    } else {
      // The least is a length each.
      guard Int(count) <= reader.remaining / 8 else { throw reader.ends(Int(count) * 8) }
      for _ in 0..<Int(count) { _ = try reader.string(upTo: Self.longestList) }
    }
    return GGUFArray(count: Int(count), type: type, range: start..<reader.position, file: file)
  }

  private func alignment() throws(GGUFProblem) -> Int {
    guard let value = metadata["general.alignment"] else { return 32 }
    guard let alignment = value.int, alignment > 0, alignment.nonzeroBitCount == 1,
      alignment <= 1 << 24
    else { throw GGUFProblem("metadata \"general.alignment\": not a power of two up to 2^24") }
    return alignment
  }

  // MARK: - Tensors

  private struct Entry {
    let name: String
    let type: GGUFTensorType
    let shape: [Int]
    let offset: UInt64
  }

  private mutating func readEntries(_ count: Int) throws(GGUFProblem) -> [Entry] {
    var entries: [Entry] = []
    var names: Set<String> = []
    for index in 0..<count {
      let name: String
      do {
        name = String(decoding: try reader.string(upTo: Self.longestName - 1), as: UTF8.self)
      } catch {
        throw GGUFProblem("the name of tensor \(index) of \(count): \(error.text)")
      }
      do {
        entries.append(try entry(name))
      } catch {
        throw GGUFProblem("tensor \(name): \(error.text)")
      }
      guard names.insert(name).inserted else { throw GGUFProblem("tensor \(name) occurs twice") }
    }
    return entries
  }

  private mutating func entry(_ name: String) throws(GGUFProblem) -> Entry {
    let rank = try reader.integer(UInt32.self)
    guard (1...4).contains(rank) else { throw GGUFProblem("\(rank) axes; 1 to 4 can be") }
    var shape: [Int] = []
    for _ in 0..<rank {
      let length = try reader.integer(UInt64.self)
      guard let whole = Int(exactly: length), whole > 0 else {
        throw GGUFProblem("an axis of length \(length)")
      }
      shape.insert(whole, at: 0)
    }
    let id = try reader.integer(UInt32.self)
    let offset = try reader.integer(UInt64.self)
    guard let type = GGUFTensorType(id: id) else {
      let names = BlockType.allCases.map(\.name).joined(separator: ", ")
      throw GGUFProblem(
        "is stored as \(GGUFTensorType.describeUnread(id)), which is not read; quantize the model "
          + "to one of F32, F16, BF16, \(names)")
    }
    guard type.byteCount(of: shape) != nil else {
      throw GGUFProblem(
        "\(type.name) \(shape) has no whole number of blocks of \(type.blockLength) a row, or more "
          + "than 2^63 bytes")
    }
    return Entry(name: name, type: type, shape: shape, offset: offset)
  }

  /// Checks that the tensors follow each other, padded, and end inside the file.
  private mutating func place(_ entries: [Entry], alignment: Int) throws(GGUFProblem) {
    guard !entries.isEmpty else { return }
    let start = (reader.position + alignment - 1) / alignment * alignment
    let room = file.bytes.count - start
    guard room >= 0 else { throw GGUFProblem("the file ends before its tensors; \(Self.again)") }
    var end = 0
    for entry in entries {
      guard entry.offset % UInt64(alignment) == 0 else {
        throw GGUFProblem(
          "tensor \(entry.name): offset \(entry.offset) is no multiple of \(alignment); "
            + "write the file again")
      }
      let size = entry.type.byteCount(of: entry.shape) ?? 0
      guard entry.offset <= UInt64(room), size <= room - Int(entry.offset) else {
        throw GGUFProblem(
          "tensor \(entry.name): \(size) bytes at offset \(entry.offset) leave the \(room) bytes "
            + "of data; \(Self.again)")
      }
      guard Int(entry.offset) == end else {
        throw GGUFProblem(
          "tensor \(entry.name): offset \(entry.offset), but the tensor before it ends at \(end); "
            + "write the file again")
      }
      let range = start + end..<start + end + size
      tensors.append(
        Tensor(name: entry.name, type: entry.type, shape: entry.shape, range: range))
      end = (end + size + alignment - 1) / alignment * alignment
    }
  }
}

/// What is wrong with a part of a file.
struct GGUFProblem: Error {
  let text: String
  init(_ text: String) { self.text = text }
}

/// Takes numbers and strings from the front of bytes, and nothing beyond their end.
struct GGUFReader {
  private let all: UnsafeRawBufferPointer
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { all = bytes }

  var remaining: Int { all.count - position }

  func ends(_ count: Int) -> GGUFProblem {
    GGUFProblem(
      "\(count) bytes at byte \(position) leave the file of \(all.count) bytes; "
        + "it is cut short or damaged; fetch it again")
  }

  /// The next `count` bytes.
  mutating func bytes(_ count: Int) throws(GGUFProblem) -> UnsafeRawPointer {
    guard count <= remaining, let base = all.baseAddress else { throw ends(count) }
    defer { position += count }
    return base + position
  }

  mutating func integer<T: FixedWidthInteger>(_: T.Type) throws(GGUFProblem) -> T {
    T(littleEndian: try bytes(MemoryLayout<T>.size).loadUnaligned(as: T.self))
  }

  /// A length and that many bytes.
  mutating func string(upTo limit: Int) throws(GGUFProblem) -> UnsafeRawBufferPointer {
    let length = try integer(UInt64.self)
    guard length <= UInt64(limit) else {
      throw GGUFProblem("a string of \(length) bytes is above the limit of \(limit)")
    }
    return UnsafeRawBufferPointer(start: try bytes(Int(length)), count: Int(length))
  }
}
