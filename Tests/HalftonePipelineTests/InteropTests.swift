import Foundation
import HalftoneEvaluation
import HalftonePipeline
import HalftoneTestSupport
import HalftoneTokenizers
import Testing

/// What transformers measures on directories written here, with compressed-tensors loading them.
@Suite struct InteropTests {
  static let recipes = [
    "rtn-w4a16": try? Recipe.load("rtn-w4a16"),
    "rtn-w8a8": try? Recipe.load("rtn-w8a8"),
    "rtn-w8a8-static": try? Recipe(
      yaml: """
        scheme:
          weights: { type: int, bits: 8, granularity: channel, symmetric: true, range: min-mse }
          inputs: { type: int, bits: 8, granularity: tensor, dynamic: false, symmetric: false }
        steps: [ rtn ]
        calibration: { samples: 16, length: 256 }
        """, source: "rtn-w8a8-static"),
  ]

  @Test(arguments: ["rtn-w4a16", "rtn-w8a8", "rtn-w8a8-static"])
  func perplexityIsThatOfTransformers(_ name: String) throws {
    let scratch = try Scratch()
    let recipe = try #require(Self.recipes[name] ?? nil)
    var options = QuantizationOptions(
      model: Repository.path("Resources/models/stories260k"), recipe: recipe,
      output: scratch.path + "/out")
    if name.hasSuffix("static") {
      options.calibration = [Repository.path("Resources/text/tinystories-calibration.txt")]
    }
    _ = try QuantizationRun(options)()
    let written = try OpenedModel(path: options.output)
    let text = try TextFile.read(Repository.path("Resources/text/tinystories-test.txt"))
    let found = try Perplexity.evaluate(
      written.model, ids: try written.tokenizer().encode(text),
      options: PerplexityOptions(context: 512, windows: 20))
    let path = Repository.path("Tests/HalftonePipelineTests/Golden/interop.json")
    let golden = try JSONSerialization.jsonObject(
      with: Data(contentsOf: URL(fileURLWithPath: path)))
    let expected = try #require((golden as? [String: Any])?[name] as? Double)
    // Weights alone agree to the last digits; rounded inputs turn last digits into other codes.
    let tolerance = name == "rtn-w4a16" ? 1e-6 : 1e-3
    #expect(abs(found.perplexity / expected - 1) < tolerance, "\(found.perplexity), \(expected)")
  }
}
