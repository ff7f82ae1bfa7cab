import Foundation
import HalftoneCheckpoints
import HalftoneTensor
import Testing

@Suite struct SafetensorsTests {
  static let broken = [
    "duplicate-name", "empty-file", "hole", "length-beyond-file", "length-huge",
    "metadata-not-text", "not-an-object", "not-from-zero", "not-json", "not-utf8",
    "offsets-beyond-end", "offsets-reversed", "overlap", "shape-negative", "shape-overflow",
    "shape-too-large", "short-length", "trailing-data", "truncated-data", "unknown-type",
  ]

  @Test(arguments: [
    "all-types", "no-tensors", "only-metadata", "reordered", "shapes", "unaligned",
  ])
  func readsWhatTheLibraryReads(name: String) throws {
    let all = try JSONValue(parsing: contents(golden("safetensors/expected.json")))
    let expected = try #require(all[name]?.object)
    let file = try SafetensorsFile(path: golden("safetensors/valid/\(name).safetensors"))
    #expect(Set(file.tensors.map(\.name)) == Set(expected.keys).subtracting(["__metadata__"]))
    #expect(
      file.metadata
        == (expected["__metadata__"]?.object?.pairs ?? [])
        .reduce(into: [:]) { $0[$1.key] = $1.value.string })
    for tensor in file.tensors {
      let entry = try #require(expected[tensor.name])
      #expect(tensor.type.rawValue == entry["dtype"]?.string)
      #expect(tensor.shape == entry["shape"]?.array?.compactMap(\.int))
      let bytes = try file.withBytes(of: tensor.name) { $0.count }
      #expect(bytes == tensor.byteCount)
      guard tensor.type.elementType != nil else { continue }
      let values = try file.tensor(tensor.name).float().values
      let reference = (entry["values"]?.array ?? []).map {
        Float($0.string ?? "") ?? Float($0.double ?? .nan)
      }
      // As bits, for NaN and the sign of zero; one NaN is as good as another.
      #expect(
        values.map { $0.isNaN ? 0 : $0.bitPattern }
          == reference.map { $0.isNaN ? 0 : $0.bitPattern })
    }
  }

  @Test(arguments: broken)
  func refusesWhatTheLibraryRefuses(name: String) {
    let path = golden("safetensors/broken/\(name).safetensors")
    let found = error { _ = try SafetensorsFile(path: path) }
    #expect(found?.code == .malformed)
    #expect(found?.message.hasPrefix(path) == true)
  }

  @Test func typesWithoutArithmeticKeepTheirBytes() throws {
    let file = try SafetensorsFile(path: golden("safetensors/valid/all-types.safetensors"))
    let bytes = try file.withBytes(of: "i64") { Array($0) }
    #expect(bytes.prefix(8) == [0, 0, 0, 0, 0, 0, 0, 0x80])
    let found = error { _ = try file.tensor("f64") }
    #expect(found?.code == .malformed)
    #expect(found?.message.contains("f64") == true)
    #expect(error { _ = try file.tensor("nothing") }?.code == .missing)
  }

  @Test func lengthsOfHeadersAreBounded() throws {
    let scratch = try ScratchDirectory()
    for length: UInt64 in [1 << 63, .max, 100_000_001, 9] {
      let bytes = withUnsafeBytes(of: length.littleEndian) { Array($0) } + Array("{}".utf8)
      let path = try scratch.file("a.safetensors", bytes)
      #expect(error { _ = try SafetensorsFile(path: path) }?.code == .malformed, "\(length)")
    }
  }

  @Test(arguments: [
    #"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}"#,  // 12 bits
    #"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"strides":[1]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}"#,
    #"{"a":{"dtype":"F32","shape":[1099511627776,1099511627776,0],"data_offsets":[0,0]}}"#,
    #"{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}"#,
    #"{"a":{"dtype":"F32","shape":[1]}}"#,
    #"{"a":[]}"#,
    " {}",
  ])
  func refusesHeadersThatDoNotAddUp(header: String) throws {
    let scratch = try ScratchDirectory()
    let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
    let path = try scratch.file("a.safetensors", length + Array(header.utf8) + [0, 0, 0, 0])
    #expect(error { _ = try SafetensorsFile(path: path) }?.code == .malformed)
  }

  @Test func packedTypesOfFourAndSixBits() {
    #expect(StoredType.float4.byteCount(of: [3, 2]) == 3)
    #expect(StoredType.float6e2m3.byteCount(of: [4]) == 3)
    #expect(StoredType.float6e3m2.byteCount(of: [2]) == nil)
    #expect(StoredType.float64.byteCount(of: [1 << 58]) == nil)
    #expect(StoredType.uint8.byteCount(of: []) == 1)
  }

  @Test func writerOrdersTypesThenNames() throws {
    let scratch = try ScratchDirectory()
    let path = scratch.path + "/out.safetensors"
    let tensors = [
      "b": Tensor([1, 2, 3]), "a": Tensor([4], shape: []),
      "codes": Tensor([7, -8]).converted(to: .int8), "half": Tensor([0.5]).converted(to: .float16),
      "none": Tensor([], shape: [0, 5]),
    ]
    let writer = try SafetensorsWriter(
      path: path,
      tensors: tensors.map {
        TensorDescription(name: $0, type: StoredType($1.elementType), shape: $1.shape)
      })
    #expect(writer.tensors.map(\.name) == ["a", "b", "none", "half", "codes"])
    #expect(!FileManager.default.fileExists(atPath: path))
    for (name, tensor) in tensors { try writer.write(name, tensor) }
    try writer.finish()
    #expect(try scratch.entries() == ["out.safetensors"])

    let file = try SafetensorsFile(path: path)
    #expect(file.metadata == ["format": "pt"])
    #expect(file.tensors.map(\.name) == ["a", "b", "none", "half", "codes"])
    for (name, tensor) in tensors {
      let stored = try file.tensor(name)
      #expect(stored.shape == tensor.shape)
      #expect(stored.bytes == tensor.bytes)
    }
    let header = try contents(path).prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    #expect(header % 8 == 0)
  }

  @Test func whatIsNotFinishedLeavesNothing() throws {
    let scratch = try ScratchDirectory()
    let tensor = TensorDescription(name: "a", type: .uint8, shape: [4])
    var writer: SafetensorsWriter? = try SafetensorsWriter(
      path: scratch.path + "/out.safetensors", tensors: [tensor])
    #expect(try scratch.entries().count == 1)
    #expect(writer?.tensors == [tensor])
    writer = nil
    #expect(try scratch.entries().isEmpty)
  }

  @Test func placesThatCannotBeWrittenAreNamed() throws {
    let path = "/proc/halftone/out.safetensors"
    let found = error { _ = try SafetensorsWriter(path: path, tensors: []) }
    #expect(found?.code == .cannotCreate)
    #expect(found?.message.hasPrefix(path) == true)
  }
}
