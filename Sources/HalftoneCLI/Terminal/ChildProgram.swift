import Foundation
import Synchronization

/// This program in a process of its own: its memory is measured by itself, and what ends it ends
/// nothing else.
struct ChildProgram {
  struct Outcome {
    var output: Data
    /// The process's exit status; 70 if a signal ended it.
    var status: Int32
    /// What it said had gone wrong.
    var message: String
  }

  /// Whether what it writes to standard error appears on ours.
  var isShown: Bool

  /// Runs to the end; an interruption of this process is handed on.
  func run(_ arguments: [String]) throws -> Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.path)
    process.arguments = arguments
    var environment = ProcessInfo.processInfo.environment
    environment[Supervision.variable] = isShown && StandardError.isTerminal ? "terminal" : "plain"
    process.environment = environment
    let (lease, output, errors) = (Pipe(), Pipe(), Pipe())
    process.standardInput = lease.fileHandleForReading
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let group = DispatchGroup()
    let results = Collector(output.fileHandleForReading, group) { _ in }
    let words = Collector(errors.fileHandleForReading, group) { [isShown] data in
      if isShown { StandardError.write(String(decoding: data, as: UTF8.self)) }
    }
    var isAsked = false
    while process.isRunning {
      if Interruption.isRequested, !isAsked {
        process.interrupt()
        isAsked = true
      }
      Thread.sleep(forTimeInterval: 0.01)
    }
    process.waitUntilExit()
    group.wait()
    withExtendedLifetime(lease) {}
    return Self.outcome(process, results.data, words.data)
  }

  private static func outcome(_ process: Process, _ output: Data, _ errors: Data) -> Outcome {
    let status = process.terminationStatus
    guard process.terminationReason == .exit else {
      return Outcome(
        output: output, status: ExitStatus.inside.rawValue,
        message: "ended by signal \(status)\(status == SIGKILL ? ": is there memory enough?" : "")")
    }
    let lines = String(decoding: errors, as: UTF8.self).split(separator: "\n").map(String.init)
    let said = lines.last { $0.contains("halftone: ") } ?? lines.last ?? "no message"
    let message = said.range(of: "halftone: ").map { String(said[$0.upperBound...]) } ?? said
    return Outcome(output: output, status: status, message: message)
  }

  /// This very program, even if its file was replaced while it runs.
  private static var path: String {
    #if os(Linux)
    "/proc/self/exe"
    #else
    Bundle.main.executablePath ?? CommandLine.arguments[0]
    #endif
  }
}

/// What comes through a pipe, read on a thread of its own so that the writer never waits.
private final class Collector: Sendable {
  private let bytes = Mutex(Data())

  var data: Data { bytes.withLock { $0 } }

  init(_ file: FileHandle, _ group: DispatchGroup, _ show: @escaping @Sendable (Data) -> Void) {
    DispatchQueue.global().async(group: group) { [self] in
      while case let piece = file.availableData, !piece.isEmpty {
        bytes.withLock { $0.append(piece) }
        show(piece)
      }
    }
  }
}
