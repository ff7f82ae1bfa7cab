import Foundation

/// Where progress, warnings and errors go.
enum StandardError {
  static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  static func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }

  static func line(_ text: String) { write(text + "\n") }
}

/// Where results go.
enum StandardOutput {
  static func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }

  static func write(_ data: Data) { FileHandle.standardOutput.write(data) }

  static func line(_ text: String) { write(text + "\n") }

  /// One JSON document, keys sorted.
  static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    write(try encoder.encode(value) + Data("\n".utf8))
  }
}
