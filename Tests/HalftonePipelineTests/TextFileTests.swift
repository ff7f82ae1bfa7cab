import Foundation
import HalftonePipeline
import HalftoneTestSupport
import Testing

@Suite struct TextFileTests {
  @Test func linesEndAsInTheReferenceTools() throws {
    let scratch = try Scratch()
    let path = scratch.path + "/t.txt"
    try Data("a\r\nb\rc\n\r\n\r\r\nd\r".utf8).write(to: URL(fileURLWithPath: path))
    // Python: open("t.txt").read()
    #expect(try TextFile.read(path) == "a\nb\nc\n\n\n\nd\n")
  }

  @Test func whatIsNotUTF8IsNamedByItsByte() throws {
    let scratch = try Scratch()
    let path = scratch.path + "/t.txt"
    try Data([0x61, 0xFF]).write(to: URL(fileURLWithPath: path))
    let error = #expect(throws: PipelineError.self) { try TextFile.read(path) }
    #expect(error?.message.contains("byte 1 ") == true)
  }
}
