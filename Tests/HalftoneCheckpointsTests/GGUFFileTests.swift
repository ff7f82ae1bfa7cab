import Foundation
import HalftoneCheckpoints
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// GGUF headers: what is read from them, and that broken ones end in errors that say why.
@Suite struct GGUFFileTests {
  /// The bytes of a file, written by hand.
  struct Builder {
    var bytes: [UInt8] = Array("GGUF".utf8)

    init(tensors: UInt64, values: UInt64, version: UInt32 = 3) {
      add(version)
      add(tensors)
      add(values)
    }

    mutating func add<T: FixedWidthInteger>(_ value: T) {
      withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }

    mutating func add(_ text: String) {
      add(UInt64(text.utf8.count))
      bytes += Array(text.utf8)
    }

    mutating func value(_ key: String, _ type: UInt32) {
      add(key)
      add(type)
    }

    mutating func tensor(
      _ name: String, _ lengths: [UInt64], type: UInt32, offset: UInt64
    ) {
      add(name)
      add(UInt32(lengths.count))
      for length in lengths { add(length) }
      add(type)
      add(offset)
    }

    mutating func pad(to alignment: Int = 32) {
      bytes += [UInt8](repeating: 0, count: (alignment - bytes.count % alignment) % alignment)
    }
  }

  private let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private func open(_ builder: Builder) throws -> GGUFFile {
    let path = scratch.path + "/x.gguf"
    try Data(builder.bytes).write(to: URL(fileURLWithPath: path))
    return try GGUFFile(path: path)
  }

  /// What is wrong with the file.
  private func message(_ builder: Builder) -> String {
    let error = #expect(throws: CheckpointError.self) { try open(builder) }
    #expect(error?.message.contains("x.gguf") == true)
    return error?.message ?? ""
  }

  // MARK: - What is read

  @Test func valuesOfEveryType() throws {
    var file = Builder(tensors: 0, values: 8)
    file.value("a.u8", 0)
    file.add(UInt8(200))
    file.value("a.i64", 11)
    file.add(Int64(-5))
    file.value("a.f32", 6)
    file.add(Float(1.5).bitPattern)
    file.value("a.f64", 12)
    file.add(Double(-0.25).bitPattern)
    file.value("a.bool", 7)
    file.add(UInt8(1))
    file.value("a.text", 8)
    file.add("käse")
    file.value("a.words", 9)
    file.add(UInt32(8))
    file.add(UInt64(3))
    for word in ["", "one", "two words"] { file.add(word) }
    file.value("a.numbers", 9)
    file.add(UInt32(5))
    file.add(UInt64(2))
    file.add(Int32(-1))
    file.add(Int32(7))
    let read = try open(file)
    #expect(read["a.u8"]?.int == 200)
    #expect(read["a.i64"]?.int == -5)
    #expect(read["a.f32"]?.double == 1.5)
    #expect(read["a.f64"]?.double == -0.25)
    #expect(read["a.bool"]?.bool == true)
    #expect(read["a.text"]?.string == "käse")
    #expect(read["a.words"]?.array?.strings == ["", "one", "two words"].map { Array($0.utf8) })
    #expect(read["a.words"]?.array?.integers == nil)
    #expect(read["a.numbers"]?.array?.integers == [-1, 7])
    #expect(read.keys.first == "a.u8")
    #expect(read["b"] == nil)
  }

  @Test func tensorsOfPlainAndBlockTypes() throws {
    var file = Builder(tensors: 2, values: 1)
    file.add("general.alignment")
    file.add(UInt32(4))
    file.add(UInt32(64))
    file.tensor("plain", [3, 2], type: 0, offset: 0)
    file.tensor("blocks", [32, 2], type: 2, offset: 64)
    file.pad(to: 64)
    for value in 1...6 { file.add(Float(value).bitPattern) }
    file.pad(to: 64)
    // Two blocks: d = 1 and every code 8 + 1 or 8 − 1.
    for code in [UInt8(0x99), 0x77] {
      file.add(UInt16(0x3C00))
      file.bytes += [UInt8](repeating: code, count: 16)
    }
    let read = try open(file)
    #expect(read.tensors.map(\.name) == ["plain", "blocks"])
    #expect(try read.tensor("plain").shape == [2, 3])
    #expect(try read.tensor("plain").float().values == [1, 2, 3, 4, 5, 6])
    #expect(try read.description(of: "blocks").typeName == "Q4_0")
    #expect(try read.description(of: "blocks").byteCount == 36)
    let expected = [Float](repeating: 1, count: 32) + [Float](repeating: -1, count: 32)
    #expect(try read.blocks("blocks").dequantized().values == expected)
    #expect(try read.tensor("blocks").values == expected)
    #expect(throws: CheckpointError.self) { try read.blocks("plain") }
    #expect(throws: CheckpointError.self) { try read.tensor("missing") }
  }

  // MARK: - What is refused

  @Test func countsThatNoFileHolds() {
    #expect(message(Builder(tensors: 0, values: 1 << 60)).contains("1152921504606846976 metadata"))
    #expect(message(Builder(tensors: .max, values: 0)).contains("18446744073709551615 tensors"))
    #expect(message(Builder(tensors: 0, values: 0, version: 1)).contains("version 1"))
    #expect(message(Builder(tensors: 0, values: 0, version: 3 << 24)).contains("big-endian"))
    var short = Builder(tensors: 0, values: 0)
    short.bytes.removeLast()
    #expect(message(short).contains("does not begin"))
  }

  @Test func stringsAndListsBeyondTheFile() {
    for (type, length) in [(UInt32(8), UInt64(1) << 40), (8, 1 << 29), (8, .max)] {
      var file = Builder(tensors: 0, values: 1)
      file.add("key")
      file.add(type)
      file.add(length)
      file.bytes += [UInt8](repeating: 0, count: 64)
      #expect(message(file).contains("\"key\""))
    }
    for (type, count) in [(UInt32(8), UInt64(1) << 29), (0, 1 << 30), (12, .max), (9, 1), (77, 1)] {
      var file = Builder(tensors: 0, values: 1)
      file.add("list")
      file.add(UInt32(9))
      file.add(type)
      file.add(count)
      file.bytes += [UInt8](repeating: 0, count: 64)
      #expect(message(file).contains("\"list\""))
    }
  }

  @Test func keysAndNamesThatOccurTwice() {
    var file = Builder(tensors: 0, values: 2)
    for _ in 0..<2 {
      file.add("key")
      file.add(UInt32(7))
      file.add(UInt8(0))
    }
    file.bytes += [UInt8](repeating: 0, count: 64)
    #expect(message(file).contains("metadata \"key\": the key occurs twice"))

    var twice = Builder(tensors: 2, values: 0)
    for _ in 0..<2 { twice.tensor("w", [8], type: 0, offset: 0) }
    twice.bytes += [UInt8](repeating: 0, count: 64)
    #expect(message(twice).contains("tensor w occurs twice"))
  }

  private func one(
    _ lengths: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, data: Int = 256
  ) -> String {
    var file = Builder(tensors: 1, values: 0)
    file.tensor("w", lengths, type: type, offset: offset)
    file.pad()
    file.bytes += [UInt8](repeating: 0, count: data)
    return message(file)
  }

  @Test func tensorsThatCannotBe() {
    #expect(one([256], type: 16).contains("tensor w: is stored as type 16 (IQ2_XXS)"))
    #expect(one([256], type: 4711).contains("type 4711"))
    #expect(one([]).contains("0 axes"))
    #expect(one([1, 1, 1, 1, 1]).contains("5 axes"))
    #expect(one([0]).contains("length 0"))
    #expect(one([.max]).contains("length 18446744073709551615"))
    #expect(one([1 << 62, 1 << 62]).contains("more than 2^63 bytes"))
    #expect(one([48], type: 2).contains("no whole number of blocks of 32"))
    #expect(one([8], offset: 4).contains("offset 4 is no multiple of 32"))
    #expect(one([8], offset: 32).contains("the tensor before it ends at 0"))
    #expect(one([8], offset: 1 << 40).contains("leave the"))
    #expect(one([65]).contains("260 bytes at offset 0 leave the 256 bytes of data"))
    #expect(one([8], data: 0).contains("leave the"))
  }

  @Test func changedFilesNeverCrash() throws {
    var file = Builder(tensors: 2, values: 2)
    file.add("words")
    file.add(UInt32(9))
    file.add(UInt32(8))
    file.add(UInt64(2))
    file.add("one")
    file.add("two")
    file.add("number")
    file.add(UInt32(6))
    file.add(Float(3).bitPattern)
    file.tensor("a", [32, 1], type: 2, offset: 0)
    file.tensor("b", [4], type: 0, offset: 32)
    file.pad()
    file.bytes += [UInt8](repeating: 1, count: 48)
    var random = SeededGenerator(seed: 3)
    var refused = 0
    for _ in 0..<500 {
      var broken = file
      for _ in 0...Int.random(in: 0..<3, using: &random) {
        let at = Int.random(in: 4..<broken.bytes.count, using: &random)
        broken.bytes[at] = [0, 1, 2, 8, 9, 0x7F, 0xFF].randomElement(using: &random) ?? 0
      }
      if Bool.random(using: &random) {
        broken.bytes.removeLast(Int.random(in: 0..<broken.bytes.count, using: &random))
      }
      do {
        let read = try open(broken)
        _ = read["words"]?.array?.strings
        for tensor in read.tensors { _ = try read.tensor(tensor.name).float().values }
      } catch { refused += 1 }
    }
    #expect(refused > 200)
  }
}
