import ArgumentParser
import HalftonePipeline
import HalftoneTokenizers

struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize",
    abstract: "Show a text as tokens, or tokens as text.",
    discussion: """
      Examples:
        halftone tokenize models/tiny --prompt "Once upon a time"
        halftone tokenize models/tiny --text story.txt --json
        halftone tokenize models/tiny --ids 1,403,407
      """)

  @Argument(help: "A Hugging Face directory, a .gguf file, or a llama2.c .bin file.")
  var model: String

  @Option(help: ArgumentHelp("A UTF-8 text to encode.", valueName: "file"))
  var text: String?

  @Option(help: "The text to encode.")
  var prompt: String?

  @Option(help: ArgumentHelp("Ids to decode, separated by commas.", valueName: "1,2,3"))
  var ids: String?

  @Flag(help: "Leave out what the tokenizer adds around a text.")
  var bare = false

  @OptionGroup var common: CommonOptions

  struct Encoded: Encodable {
    var ids: [Int]
    var tokens: [String]
  }

  struct Decoded: Encodable {
    var ids: [Int]
    var tokens: [String]
    var text: String
  }

  func validate() throws {
    guard [text, prompt, ids].count(where: { $0 != nil }) == 1 else {
      throw ValidationError("Give one of --text FILE, --prompt TEXT and --ids LIST.")
    }
  }

  func run() throws {
    let tokenizer = try Self.tokenizer(model)
    if let ids { return try decode(try Self.parse(ids, tokenizer), tokenizer) }
    let content = try text.map { try TextFile.read($0) } ?? prompt ?? ""
    let ids = tokenizer.encode(content, addingSpecialTokens: !bare)
    let tokens = ids.map { tokenizer.token(for: $0) ?? "" }
    if common.json { return try StandardOutput.json(Encoded(ids: ids, tokens: tokens)) }
    for (id, token) in zip(ids, tokens) { StandardOutput.line("\(id)\t\(token)") }
  }

  private func decode(_ ids: [Int], _ tokenizer: any Tokenizer) throws {
    let text = tokenizer.decode(ids, skippingSpecialTokens: false)
    guard common.json else { return StandardOutput.line(text) }
    let tokens = ids.map { tokenizer.token(for: $0) ?? "" }
    try StandardOutput.json(Decoded(ids: ids, tokens: tokens, text: text))
  }

  /// A directory may hold a tokenizer and no model.
  private static func tokenizer(_ path: String) throws -> any Tokenizer {
    path.hasSuffix(".bin") || path.hasSuffix(".gguf")
      ? try OpenedModel(path: path).tokenizer() : try Tokenizers.load(directory: path)
  }

  private static func parse(_ list: String, _ tokenizer: any Tokenizer) throws -> [Int] {
    try list.split(whereSeparator: { $0 == "," || $0 == " " }).map { word in
      guard let id = Int(word), (0..<tokenizer.vocabularySize).contains(id) else {
        throw ValidationError(
          "--ids: '\(word)' is no id of this tokenizer; use 0 to \(tokenizer.vocabularySize - 1).")
      }
      return id
    }
  }
}
