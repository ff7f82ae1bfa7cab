import Foundation

/// What a process knows of the halftone that started it as a part of its own work.
enum Supervision {
  /// "terminal" where standard error goes on to a terminal, "plain" where it does not.
  static let variable = "HALFTONE_SUPERVISED"

  private static let value = ProcessInfo.processInfo.environment[variable]

  /// Whether progress is to be drawn although standard error is a pipe.
  static var drawsProgress: Bool { value == "terminal" }

  /// Ends this process when the one that started it is no more: then its standard input ends.
  static func begin() {
    guard value != nil else { return }
    let thread = Thread {
      var byte: UInt8 = 0
      while true {
        let count = read(STDIN_FILENO, &byte, 1)
        if count == 0 || count < 0 && errno != EINTR { _exit(ExitStatus.interrupted.rawValue) }
      }
    }
    thread.start()
  }
}
