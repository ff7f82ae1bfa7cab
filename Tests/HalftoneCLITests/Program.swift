import Foundation
import HalftoneTestSupport

/// The built program, run as its users run it.
struct Program {
  struct Outcome {
    var status: Int32
    var output: String
    var errors: String
  }

  static let model = Repository.path("Resources/models/stories260k")
  static let text = Repository.path("Resources/text/tinystories-calibration.txt")

  /// Beside the test program.
  static var path: String {
    let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let program = link ?? CommandLine.arguments[0]
    return (program as NSString).deletingLastPathComponent + "/halftone"
  }

  /// The process, not started, with its streams going to files in `scratch`.
  static func process(_ arguments: [String], _ scratch: Scratch) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: scratch.path)
    process.environment = ["COLUMNS": "100", "HOME": scratch.path]
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    return process
  }

  static func run(_ arguments: [String], _ scratch: Scratch) throws -> Outcome {
    try run(process(arguments, scratch))
  }

  static func run(_ process: Process) throws -> Outcome {
    let streams = try Scratch()
    func file(_ name: String) throws -> FileHandle {
      _ = try streams.write(name, "")
      return try FileHandle(forWritingTo: URL(fileURLWithPath: streams.path + "/" + name))
    }
    process.standardOutput = try file("out")
    process.standardError = try file("err")
    try process.run()
    process.waitUntilExit()
    func content(_ name: String) throws -> String {
      try String(contentsOfFile: streams.path + "/" + name, encoding: .utf8)
    }
    return Outcome(
      status: process.terminationStatus, output: try content("out"), errors: try content("err"))
  }
}
