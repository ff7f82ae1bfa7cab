import Foundation
import HalftonePipeline
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

@Suite struct RecipeTests {
  /// Each recipe with the line of its mistake and a piece of what is said about it.
  static let mistakes: [(yaml: String, line: Int, message: String)] = [
    ("", 0, "the recipe is empty"),
    ("- rtn", 1, "the recipe must be a map"),
    ("scheme: { weights: { bits: 4 } }", 0, "'steps' is missing"),
    ("steps: [ rtn ]", 0, "'scheme' is missing"),
    ("scheme:\n  weights: { bits: 4 }\nstep: [ rtn ]", 3, "did you mean 'steps'?"),
    ("scheme:\n  weights:\n    bits: 4\n    grup: 32\nsteps: [ rtn ]", 4, "did you mean 'group'?"),
    ("scheme:\n  weights: { bits: 9 }\nsteps: [ rtn ]", 2, "use 2 to 8"),
    ("scheme:\n  weights: { bits: four }\nsteps: [ rtn ]", 2, "must be a whole number, not 'four'"),
    ("scheme:\n  weights: { group: 32 }\nsteps: [ rtn ]", 2, "'weights.bits' is missing"),
    ("scheme:\n  weights: { type: float, bits: 4 }\nsteps: [ rtn ]", 2, "cannot be 'float'"),
    (
      "scheme:\n  weights: { bits: 4, granularity: chanel }\nsteps: [ rtn ]", 2,
      "did you mean 'channel'?"
    ),
    (
      "scheme:\n  weights: { bits: 4, granularity: group }\nsteps: [ rtn ]", 2,
      "needs 'group: SIZE'"
    ),
    (
      "scheme:\n  weights: { bits: 4, granularity: tensor, group: 8 }\nsteps: [ rtn ]", 2,
      "contradicts"
    ),
    (
      "scheme:\n  weights: { bits: 4 }\n  inputs: { bits: 8, granularity: tensor, dynamic: true }"
        + "\nsteps: [ rtn ]", 3, "granularity: token with dynamic: true"
    ),
    ("scheme:\n  weights: { bits: 4 }\n  cache: { bits: 4 }\nsteps: [ rtn ]", 3, "use 8 to 8"),
    ("scheme:\n  weights: { bits: 4 }\n  cache: {}\nsteps: [ rtn ]", 3, "needs 'bits: 8'"),
    (
      "scheme:\n  weights: { bits: 4 }\n  cache: { type: nf4 }\nsteps: [ rtn ]", 3,
      "cannot be 'nf4'"
    ),
    ("scheme:\n  weights: { bits: 4, symmetric: maybe }\nsteps: [ rtn ]", 2, "true or false"),
    ("scheme:\n  weights: { bits: 4 }\nsteps:\n  - gtpq", 4, "did you mean 'gptq'?"),
    ("scheme:\n  weights: { bits: 4 }\nsteps: []", 3, "'steps' is empty"),
    ("scheme:\n  weights: { bits: 4 }\nsteps: [ rtn, gptq ]", 3, "one method a recipe"),
    ("scheme:\n  weights: { bits: 4 }\nsteps:\n  - rtn\n  - gptq", 5, "'gptq' out"),
    ("scheme:\n  weights: { bits: 4 }\nsteps:\n  - lorc\n  - rtn", 4, "put it after the method"),
    ("scheme:\n  weights: { bits: 4 }\nsteps:\n  - rtn\n  - lorc\n  - lorc", 6, "there twice"),
    ("scheme:\n  weights: { bits: 4 }\nsteps:\n  - rtn\n  - lorq", 5, "did you mean 'lorc'?"),
    (
      "scheme:\n  weights: { bits: 4 }\nsteps:\n  - rtn\n  - lorc: { rank: some }", 5,
      "must be a whole number"
    ),
    (
      "scheme:\n  weights: { bits: 4 }\nsteps:\n  - gptq:\n      dampening: 0.1", 5,
      "did you mean 'damping'?"
    ),
    (
      "scheme:\n  weights: { bits: 4 }\nsteps:\n  - gptq:\n      damping: much", 5,
      "must be a number"
    ),
    (
      "scheme:\n  weights: { bits: 4 }\noverrides:\n  - weights: { bits: 8 }\nsteps: [ rtn ]", 4,
      "'targets' is missing"
    ),
    (
      "scheme:\n  weights: { bits: 4 }\nsteps: [ rtn ]\ncalibration: { samples: 0 }", 4,
      "use 1 to 16777216"
    ),
    (
      "scheme:\n  weights: { bits: 4 }\nsteps: [ rtn ]\nwhen-worse: kepe", 4, "did you mean 'keep'?"
    ),
    (
      "scheme:\n  weights: { bits: 4 }\nsteps: [ lrq ]\ntraining-precision: bfloat", 4,
      "did you mean 'bfloat16'?"
    ),
    ("scheme:\n  weights: { bits: 4\nsteps: [ rtn ]", 3, "not YAML"),
  ]

  @Test(arguments: mistakes.indices) func mistakesNameTheirLine(_ index: Int) throws {
    let (yaml, line, message) = Self.mistakes[index]
    let error = #expect(throws: RecipeError.self) {
      try Recipe(yaml: yaml, source: "r.yaml")
    }
    #expect(error?.line == line, "\(String(describing: error))")
    #expect(error?.message.contains(message) == true, "\(String(describing: error))")
    if line > 0 { #expect(error?.description.hasPrefix("r.yaml:\(line): ") == true) }
  }

  @Test func duplicateKeysAreRefused() {
    let error = #expect(throws: RecipeError.self) {
      try Recipe(
        yaml: "scheme:\n  weights: { bits: 4 }\nsteps: [ rtn ]\nsteps: [ gptq ]", source: "r")
    }
    #expect(error?.message.contains("steps") == true)
  }

  @Test func designsExampleIsUnderstood() throws {
    let recipe = try Recipe(
      yaml: """
        scheme:
          weights: { type: int, bits: 4, granularity: group, group: 32, symmetric: true, range: min-mse }
          inputs:  { type: int, bits: 8, granularity: token, dynamic: true }
          ignore:  [ lm_head, embed_tokens ]
        overrides:
          - targets: "layers.*.mlp.down_proj"
            weights: { bits: 8 }
        steps:
          - flexround: { iterations: 5000, batch: 4, learning-rate: 3.0e-3, learn-grid: true }
        calibration: { samples: 128, length: 256 }
        """, source: "example")
    #expect(recipe.steps.map(\.name) == ["flexround"])
    #expect(recipe.calibration == CalibrationSize(samples: 128, length: 256))
    #expect(recipe.ignore.map(\.text) == ["lm_head", "embed_tokens"])
    #expect(recipe.whenWorse == .keep)
    guard case .fields(let weights) = recipe.scheme.weights else {
      Issue.record("no weights")
      return
    }
    #expect(weights.bits == 4)
    #expect(weights.granularity == .group(32))
    #expect(weights.range == .minMSE)
  }

  @Test(arguments: Recipe.shippedNames) func canonicalTextReadsBackAsItself(_ name: String) throws {
    let text = try Recipe.load(name).canonicalText
    #expect(try Recipe(yaml: text, source: name).canonicalText == text)
  }

  /// The default is left out, so that runs recorded before the key was there go on.
  @Test func canonicalTextSaysHowTrainingMultiplies() throws {
    let yaml = "scheme:\n  weights: { bits: 4 }\nsteps: [ lrq ]\ntraining-precision: "
    let (plain, rounded) = try (
      Recipe(yaml: yaml + "float32", source: "a"), Recipe(yaml: yaml + "bfloat16", source: "b")
    )
    #expect(!plain.canonicalText.contains("training-precision"))
    #expect(rounded.canonicalText == plain.canonicalText + "training-precision: bfloat16\n")
    let again = try Recipe(yaml: rounded.canonicalText, source: "c")
    #expect(again.trainingPrecision == .bfloat16 && plain.trainingPrecision == .float32)
  }

  @Test func canonicalTextKeepsEveryCharacterOfAPattern() throws {
    let yaml = #"""
      scheme:
        weights: { bits: 4 }
        ignore: [ 'a"b', 'c\d', '\"' ]
      steps: [ rtn ]
      """#
    let recipe = try Recipe(yaml: yaml, source: "a")
    let again = try Recipe(yaml: recipe.canonicalText, source: "b")
    #expect(recipe.ignore.map(\.text) == [#"a"b"#, #"c\d"#, #"\""#])
    #expect(again.ignore.map(\.text) == recipe.ignore.map(\.text))
    #expect(again.canonicalText == recipe.canonicalText)
  }

  @Test func defaultsDoNotChangeTheCanonicalText() throws {
    let short = try Recipe(
      yaml: "scheme:\n  weights: { bits: 4 }\nsteps: [ gptq ]", source: "a")
    let long = try Recipe(
      yaml: """
        # the same, with a default written out
        scheme: { weights: { type: int, bits: 4 } }
        steps: [ gptq: { damping: 0.01 } ]
        calibration: { samples: 128, length: 256 }
        when-worse: keep
        """, source: "b")
    #expect(short.canonicalText == long.canonicalText)
  }

  @Test func embeddedRecipesAreThoseOfTheFolder() throws {
    let folder = Repository.path("Recipes")
    let files = try FileManager.default.contentsOfDirectory(atPath: folder)
      .filter { $0.hasSuffix(".yaml") }.sorted()
    #expect(files == Recipe.shippedNames.map { $0 + ".yaml" }.sorted(), "run Scripts/embed-recipes")
    for file in files {
      let text = try String(contentsOfFile: folder + "/" + file, encoding: .utf8)
      let name = String(file.dropLast(".yaml".count))
      #expect(Recipe.shippedText(name) == text, "run Scripts/embed-recipes")
    }
  }

  @Test func unknownNamesAndMissingFilesAreToldApart() {
    let name = #expect(throws: PipelineError.self) { try Recipe.load("gptq-w4a61") }
    #expect(name?.code == .usage)
    #expect(name?.message.contains("'gptq-w4a16'") == true)
    let file = #expect(throws: PipelineError.self) { try Recipe.load("nowhere/r.yaml") }
    #expect(file?.code == .missing)
  }
}
