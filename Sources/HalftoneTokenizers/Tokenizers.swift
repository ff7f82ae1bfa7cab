import Foundation

/// Loads tokenizers from files.
public enum Tokenizers {
  /// Larger files are refused; the largest tokenizer.json in use has some 40 MB.
  private static let largestFile = 512 << 20

  /// Loads tokenizer.json, with tokenizer_config.json if there is one, else tokenizer.bin.
  ///
  /// - Throws: ``TokenizerError`` when neither exists, or when one asks for what is not supported.
  public static func load(directory: String) throws -> any Tokenizer {
    let files = FileManager.default
    let json = directory + "/tokenizer.json"
    if files.fileExists(atPath: json) {
      let configuration = directory + "/tokenizer_config.json"
      return try load(
        json: try read(json), file: json,
        configuration: files.fileExists(atPath: configuration) ? try read(configuration) : nil)
    }
    let binary = directory + "/tokenizer.bin"
    if files.fileExists(atPath: binary) {
      return try Llama2CTokenizer(try read(binary), file: binary, count: nil)
    }
    throw TokenizerError(
      .missing, "neither tokenizer.json nor tokenizer.bin is there", at: directory)
  }

  /// Loads a llama2.c vocabulary, which must hold exactly `vocabularySize` tokens.
  public static func load(
    llama2cTokenizer path: String, vocabularySize: Int
  ) throws -> any Tokenizer {
    try Llama2CTokenizer(try read(path), file: path, count: vocabularySize)
  }

  /// Builds the tokenizer of the bytes of a tokenizer.json; `file` names them in messages.
  package static func load(
    json: [UInt8], file: String, configuration: [UInt8]? = nil
  ) throws -> any Tokenizer {
    let root = JSONNode(value: try JSONParser.parse(json, file: file), path: "$", file: file)
    let companion = try configuration.map { bytes in
      let name = "tokenizer_config.json"
      return JSONNode(value: try JSONParser.parse(bytes, file: name), path: "$", file: name)
    }
    return try JSONTokenizer(root, configuration: companion)
  }

  /// The pieces that one pre-tokenizer, given as JSON, cuts a text into.
  package static func pieces(of text: String, preTokenizer json: [UInt8]) throws -> [String] {
    let file = "pre_tokenizer"
    let node = JSONNode(value: try JSONParser.parse(json, file: file), path: "$", file: file)
    var split = SplitText(Array(text.utf8), startsAtOrigin: true)
    try PreTokenizer(node).apply(to: &split)
    return zip([0] + split.ends, split.ends).map { start, end in
      String(decoding: split.bytes[start..<end], as: UTF8.self)
    }
  }

  static func read(_ path: String) throws -> [UInt8] {
    guard FileManager.default.fileExists(atPath: path) else {
      throw TokenizerError(.missing, "no such file", at: path)
    }
    do {
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      guard data.count <= largestFile else {
        throw TokenizerError(.malformed, "larger than \(largestFile) bytes", at: path)
      }
      return [UInt8](data)
    } catch let error as TokenizerError {
      throw error
    } catch {
      throw TokenizerError(.unreadable, "cannot be read: \(error)", at: path)
    }
  }
}
