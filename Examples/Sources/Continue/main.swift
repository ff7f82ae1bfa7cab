import Halftone

// Continues a text with a model that is on disk: Continue MODEL TEXT [TOKENS]
let arguments = CommandLine.arguments
precondition(arguments.count > 2, "usage: Continue MODEL TEXT [TOKENS]")
let opened = try OpenedModel(path: arguments[1])
let generator = try TextGenerator(opened.model, tokenizer: opened.tokenizer())
let options = GenerationOptions(tokens: arguments.count > 3 ? Int(arguments[3]) ?? 40 : 40)
let output = try generator.generate(arguments[2], options) { print($0, terminator: "") }
print("\n\(output.generation.ids.count) tokens, \(output.generation.finish)")
