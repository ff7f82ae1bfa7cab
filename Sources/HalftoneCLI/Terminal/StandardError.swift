import Foundation

/// Where progress, warnings and errors go.
enum StandardError {
  static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Where nobody can be told, the work still goes on.
  static func write(_ text: String) {
    try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
  }

  static func line(_ text: String) { write(text + "\n") }
}

/// Where results go; a result that cannot be written ends the program.
enum StandardOutput {
  static func write(_ text: String) { write(Data(text.utf8)) }

  static func write(_ data: Data) {
    do {
      try FileHandle.standardOutput.write(contentsOf: data)
    } catch {
      StandardError.line(
        "halftone: standard output cannot be written: \(error.localizedDescription)")
      exit(ExitStatus.inputOutput.rawValue)
    }
  }

  static func line(_ text: String) { write(text + "\n") }

  /// One JSON document, keys sorted.
  static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    write(try encoder.encode(value) + Data("\n".utf8))
  }
}
