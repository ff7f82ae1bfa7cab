import Foundation
import HalftoneTokenizers

/// The files that Scripts/golden/tokenizer_ids.py wrote, and the repository's own data.
enum GoldenFiles {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  static let folder = root.appendingPathComponent("Tests/HalftoneTokenizersTests/Golden")
  static let wikitext = root.appendingPathComponent("Resources/text/wikitext2-test.txt")

  static let shipped = ["books-7m", "stories260k"]
  static let fixtures = ["llama3", "qwen2", "llama2", "metaspace", "gemma", "gpt2"]

  static func directory(_ name: String) -> String {
    shipped.contains(name)
      ? root.appendingPathComponent("Resources/models/\(name)").path
      : folder.appendingPathComponent("Tokenizers/\(name)").path
  }

  static func tokenizer(_ name: String) throws -> any Tokenizer {
    try Tokenizers.load(directory: directory(name))
  }

  static func bytes(_ url: URL) throws -> [UInt8] { [UInt8](try Data(contentsOf: url)) }

  static func decode<Value: Decodable>(_ type: Value.Type, _ path: String) throws -> Value {
    try JSONDecoder().decode(
      type, from: try Data(contentsOf: folder.appendingPathComponent(path)))
  }

  /// The test strings, as bytes because some are not UTF-8.
  static func strings() throws -> [[UInt8]] {
    try decode([String].self, "strings.json").map { text in
      let digits = text.compactMap { $0.hexDigitValue }
      return stride(from: 0, to: digits.count, by: 2).map {
        UInt8(digits[$0] << 4 | digits[$0 + 1])
      }
    }
  }
}

/// What the reference made of one string.
struct EncodingCase: Decodable {
  var ids: [Int]
  var plain: [Int]
  var decoded: String
  var skipping: String
}

/// What the reference made of a whole file.
struct CorpusRecord: Decodable {
  var count: Int
  var fnv: String
  var first: [Int]
  var last: [Int]
  var decodesToItself: Bool
}

/// FNV-1a, 64 bits, over each id as four little-endian bytes.
func fnv(_ ids: [Int]) -> String {
  var value: UInt64 = 0xCBF2_9CE4_8422_2325
  for id in ids {
    for shift in [0, 8, 16, 24] {
      value = (value ^ UInt64(id >> shift & 255)) &* 0x100_0000_01B3
    }
  }
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}
