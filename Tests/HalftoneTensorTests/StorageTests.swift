import Foundation
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Mapped files, views, copies, and memory that is used again.
@Suite struct StorageTests {
  /// The path of a file of `bytes` that is gone after `body`.
  private func withFile(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try Data(bytes).write(to: url)
    defer { try? FileManager.default.removeItem(at: url) }
    try body(url.path)
  }

  // MARK: - Mapped files

  private func expectError(
    _ reason: Int32, mapping path: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let error = #expect(throws: MappedFileError.self, sourceLocation: sourceLocation) {
      try MappedFile(path: path)
    }
    #expect(error?.path == path && error?.reason == reason, sourceLocation: sourceLocation)
    #expect(
      error?.description == "\(path): \(String(cString: strerror(reason)))",
      sourceLocation: sourceLocation)
  }

  @Test func onlyRegularFilesAreMapped() throws {
    let folder = FileManager.default.temporaryDirectory
    expectError(ENOENT, mapping: "/nowhere/model.safetensors")
    expectError(EISDIR, mapping: folder.path)
    expectError(ENOTSUP, mapping: "/dev/null")
    // A named pipe without a writer must not keep the reader waiting.
    let pipe = folder.appendingPathComponent(UUID().uuidString).path
    try #require(mkfifo(pipe, 0o600) == 0)
    defer { unlink(pipe) }
    expectError(ENOTSUP, mapping: pipe)
  }

  @Test func emptyFileHasNoBytes() throws {
    try withFile([]) { path in
      let file = try MappedFile(path: path)
      #expect(file.bytes.isEmpty && file.path == path)
      file.evict(0..<0)
      let tensor = Tensor(mapping: file, offset: 0, elementType: .float32, shape: [0, 4])
      #expect(tensor.values.isEmpty && tensor.copied().shape == [0, 4])
    }
  }

  @Test(arguments: ElementType.allCases, [0, 1, 2, 3, 5]) func mapsElementsAtAnyOffset(
    _ type: ElementType, offset: Int
  ) throws {
    let numbers = Tensor((0..<40).map { Float($0) }, shape: [8, 5])
    let stored = numbers.converted(to: type).withBytes { Array($0) }
    try withFile([UInt8](repeating: 0xff, count: offset) + stored) { path in
      let file = try MappedFile(path: path)
      let tensor = Tensor(mapping: file, offset: offset, elementType: type, shape: [8, 5])
      #expect(tensor.float().values == numbers.values)
      #expect(tensor.view(3..<5).float().values == Array(numbers.values[15..<25]))
      #expect(tensor.copied().float().values == numbers.values)
      #expect(tensor.converted(to: .int8).float().values == numbers.values)
      file.evict(0..<file.bytes.count)
      #expect(tensor.float().values == numbers.values)
    }
  }

  @Test func mappingOutlivesTheFile() throws {
    var tensor: Tensor?
    try withFile([1, 2, 3, 4]) { path in
      tensor = Tensor(
        mapping: try MappedFile(path: path), offset: 1, elementType: .int8, shape: [3])
    }
    #expect(tensor?.float().values == [2, 3, 4])
  }

  // MARK: - Views and copies

  @Test func viewsShareAndCopiesDoNot() {
    let x = normal([6, 4], 1)
    let view = x.view(2..<5)
    #expect(view.shape == [3, 4] && view.values == Array(x.values[8..<20]))
    #expect(view.view(1..<2).values == Array(x.values[12..<16]))
    #expect(x.view(2..<5).sharesElements(with: view))
    #expect(!x.view(1..<4).sharesElements(with: view))
    #expect(!view.copied().sharesElements(with: view) && view.copied().values == view.values)
    #expect(x.view(6..<6).values.isEmpty)
    #expect(x.reshaped([24]).values == x.values)
    #expect(x.transposed().transposed().values == x.values)
    let zeroed = x.zeroing(columns: [3, 0])
    #expect(zeroed.values == x.values.indices.map { [0, 3].contains($0 % 4) ? 0 : x.values[$0] })
  }

  @Test func rowBufferKeepsWhatItHandedOut() {
    let buffer = RowBuffer(capacity: 5, width: 3)
    let (a, b) = (normal([2, 3], 2), normal([3, 3], 3))
    buffer.append(a)
    let first = buffer.rows
    buffer.append(b)
    #expect(first.values == a.values)
    #expect(buffer.rows.values == a.values + b.values && buffer.count == 5)
  }

  @Test func misuseTraps() async {
    await #expect(processExitsWith: .failure) { _ = Tensor([1, 2], shape: [3]) }
    await #expect(processExitsWith: .failure) {
      _ = Tensor(shape: [-1, -4], elementType: .int8) { _ in }
    }
    await #expect(processExitsWith: .failure) {
      _ = Tensor(shape: [1 << 40, 1 << 40], elementType: .int8) { _ in }
    }
    await #expect(processExitsWith: .failure) {
      _ = Tensor([1, 2], shape: [1, 2]).zeroing(columns: [2])
    }
    await #expect(processExitsWith: .failure) { _ = Tensor([1, 2]).view(1..<3) }
  }

  // MARK: - Memory used again

  /// Many tensors made, kept and dropped at random, from several threads: what is kept never changes.
  @Test func newTensorsNeverShowInOldOnes() {
    parallelFor(8) { task in
      var generator = SeededGenerator(seed: UInt64(task))
      var kept: [(value: Float, tensor: Tensor)] = []
      for step in 0..<400 {
        let value = Float(task * 1000 + step)
        let shape = [[4096, 8192, 8192, 12288, 5][generator.below(5)]]
        kept.append((value, Tensor(repeating: value, shape: shape)))
        if kept.count > 12 { kept.remove(at: generator.below(kept.count)) }
      }
      for (value, tensor) in kept { #expect(tensor.values.allSatisfy { $0 == value }) }
    }
  }

  /// More freed memory than is kept; its pages are never touched and so cost nothing.
  @Test func moreFreedMemoryThanIsKept() {
    let kept = Tensor(repeating: 2, shape: [10_000])
    for i in 0..<24 { _ = Tensor(shape: [(1 << 26) + i * 64], elementType: .int8) { _ in } }
    let after = (0..<8).map { Tensor(repeating: Float($0), shape: [10_000]) }
    #expect(kept.values.allSatisfy { $0 == 2 })
    for (i, tensor) in after.enumerated() {
      #expect(tensor.values.allSatisfy { $0 == Float(i) })
    }
  }

  @Test func aViewKeepsItsMemoryFromReuse() {
    var whole: Tensor? = Tensor(repeating: 3, shape: [100, 100])
    let view = whole?.view(10..<20)
    whole = nil
    for _ in 0..<20 { _ = Tensor(repeating: 4, shape: [100, 100]).values }
    #expect(view?.values == [Float](repeating: 3, count: 1000))
  }
}
