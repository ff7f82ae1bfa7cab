import Foundation

/// Reads text that must be UTF-8.
public enum TextFile {
  /// The text with lines that end in LF: CR LF and single CRs are replaced, as Python's text mode
  /// does, on which published perplexities rest.
  ///
  /// - Throws: ``PipelineError`` naming the file and the first byte that is not UTF-8.
  public static func read(_ path: String, largest: Int = .max) throws -> String {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
    } catch {
      throw unreadable(path)
    }
    guard data.count <= largest else {
      throw PipelineError(
        .badInput, "\(data.count) bytes; at most \(largest) are expected here", at: path)
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw PipelineError(
        .badInput,
        "not UTF-8 text: byte \(firstInvalid(data)) fits no character; convert the file to UTF-8",
        at: path)
    }
    return text.utf8.contains(carriageReturn) ? withLineFeeds(text) : text
  }

  private static let (lineFeed, carriageReturn) = (UInt8(ascii: "\n"), UInt8(ascii: "\r"))

  private static func withLineFeeds(_ text: String) -> String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    var previous: UInt8 = 0
    for byte in text.utf8 {
      if byte != lineFeed || previous != carriageReturn {
        bytes.append(byte == carriageReturn ? lineFeed : byte)
      }
      previous = byte
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func unreadable(_ path: String) -> PipelineError {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      return PipelineError(.missing, "no such file", at: path)
    }
    return PipelineError(
      .inputOutput, isDirectory.boolValue ? "is a directory, not a file" : "cannot be read",
      at: path)
  }

  private static func firstInvalid(_ data: Data) -> Int {
    var decoder = UTF8()
    var bytes = data.makeIterator()
    var offset = 0
    while case .scalarValue(let scalar) = decoder.decode(&bytes) {
      offset += UTF8.width(scalar)
    }
    return offset
  }
}
