public import Foundation

/// The text of a file as the reference tools read it.
public enum EvaluationText {
  /// UTF-8 whose lines end in LF: CR LF and single CRs are replaced, as Python's text mode does, on
  /// which published perplexities rest.
  ///
  /// - Throws: ``EvaluationError`` naming `file` if the bytes are not UTF-8.
  public static func decode(_ data: Data, file: String) throws(EvaluationError) -> String {
    let (lf, cr) = (UInt8(0x0A), UInt8(0x0D))
    var bytes: [UInt8] = []
    bytes.reserveCapacity(data.count)
    var previous: UInt8 = 0
    for byte in data {
      if byte != lf || previous != cr { bytes.append(byte == cr ? lf : byte) }
      previous = byte
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw EvaluationError("\(file): not UTF-8 text; convert the file to UTF-8")
    }
    return text
  }
}
