import Foundation
import HalftoneCheckpoints
import HalftonePipeline
import HalftoneReport
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Formats and groups that a recipe leaves to the run.
@Suite struct SchemeSearchTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private func run(
    _ weights: String, steps: String = "rtn", text: Bool, output: String = "out",
    _ change: (inout QuantizationRun) -> Void = { _ in }
  ) throws -> RunRecord {
    var options = QuantizationOptions(
      model: Fixture.model,
      recipe: try Recipe(
        yaml: "scheme:\n  weights: { \(weights) }\nsteps:\n  - \(steps)", source: "r.yaml"),
      output: "\(scratch.path)/\(output)")
    if text { options.calibration = [Fixture.text] }
    (options.samples, options.length) = (8, 64)
    options.overwrite = true
    var run = QuantizationRun(options)
    change(&run)
    return try run()
  }

  private func output(_ name: String = "out") throws -> OpenedModel {
    try OpenedModel(path: "\(scratch.path)/\(name)")
  }

  private static let types = ["e2m1", "e1m2", "e3m0", "nf4"]

  /// Each layer has the format of least error: without text, that of a run with this format alone.
  @Test func layersTakeTheFormatOfLeastError() throws {
    let record = try run("type: [ \(Self.types.joined(separator: ", ")) ]", text: false)
    let alone = try Self.types.map { try run("type: \($0)", text: false, output: $0) }
    var chosen: Set<String> = []
    for (i, layer) in record.layers.enumerated() {
      let choices = try #require(layer.choices)
      #expect(choices.map(\.format) == Self.types)
      for (choice, own) in zip(choices, alone) {
        #expect(abs(choice.error - own.layers[i].errorAfter) <= 1e-6 * choice.error)
      }
      let best = try #require(choices.min { $0.error < $1.error })
      #expect(layer.scheme.hasPrefix(best.format + " "), "\(layer.scheme)")
      #expect(abs(layer.errorAfter - best.error) <= 1e-6 * best.error)
      let store = try #require(try output().store as? Checkpoint)
      #expect(try store.storedScheme(layer.name)?.weights?.format.name == best.format)
      chosen.insert(best.format)
    }
    #expect(chosen.count > 1)
    #expect(alone[0].layers.allSatisfy { $0.choices == nil })
    #expect(try Inspection(path: scratch.path + "/out", verifies: true).problems?.isEmpty == true)
  }

  /// With text by the error of outputs, before any method; trained layers keep the choice.
  @Test(arguments: ["rtn", "gptq", "discquant: { iterations: 2, batch: 1 }"])
  func textDecidesByOutputs(_ steps: String) throws {
    let record = try run("type: [ e3m0, int4 ]", steps: steps, text: true)
    for layer in record.layers {
      let choices = try #require(layer.choices)
      let best = choices[0].error <= choices[1].error ? "e3m0 " : "int4 "
      #expect(layer.scheme.hasPrefix(best))
    }
  }

  @Test func groupsShrinkWhereRangesDo() throws {
    let record = try run(
      "type: [ e2m1, nf4 ], granularity: adaptive, group: 8, threshold: 0.12", text: true)
    let model = try OpenedModel(path: Fixture.model)
    var seen: Set<String> = []
    for layer in record.layers {
      guard case .dense(let weight) = try model.store.linearWeight(layer.name) else { continue }
      let expected = AdaptiveGroups(threshold: 0.12, least: 8).granularity(for: weight.float())
      #expect(layer.scheme.contains(" \(expected) "), "\(layer.scheme), \(expected)")
      seen.insert("\(expected)")
    }
    #expect(record.bytesAfter > 0 && !seen.isEmpty)
    let plain = try run("bits: 4, granularity: adaptive", text: false, output: "plain")
    #expect(plain.layers.allSatisfy { $0.choices == nil })
  }

  /// Streamed and by blocks, the same; and a run that goes on finds the same choice.
  @Test func aRunThatIsStoppedGoesOn() throws {
    let words = "type: [ int4, e2m1, nf4 ]"
    let whole = try run(words, text: true)
    var stops = 0
    #expect(throws: PipelineError.self) {
      try run(words, text: true, output: "again") { run in
        run.shouldStop = {
          stops += 1
          return stops == 8
        }
      }
    }
    let resumed = try run(words, text: true, output: "again") { run in
      (run.options.overwrite, run.options.resume) = (false, true)
    }
    #expect(resumed.layers.map(\.scheme) == whole.layers.map(\.scheme))
    #expect(resumed.layers.map(\.choices) == whole.layers.map(\.choices))
    let streamed = try run(words, text: false)
    let blocks = try run(words, text: false, output: "blocks") { $0.streams = false }
    #expect(streamed.layers.map(\.scheme) == blocks.layers.map(\.scheme))
    #expect(streamed.layers.map(\.choices) == blocks.layers.map(\.choices))
  }

  /// Pairs are not rounded one by one, which streaming does, whichever of the formats is first.
  @Test func formatsThatRoundJointlyAreNotStreamed() throws {
    let record = try run("type: [ e3m0, olive4 ]", text: false)
    #expect(record.layers.contains { $0.scheme.hasPrefix("olive4") })
  }

  /// A transform that looks at activations runs before the groups are chosen.
  @Test func transformsSeeTheTextWhereGroupsAreOpen() throws {
    let yaml = """
      scheme:
        weights: { bits: 4, granularity: adaptive }
        inputs: { bits: 8, granularity: tensor, dynamic: false }
      steps: [ percentile-smoothing: { share: 0.1 }, rtn ]
      """
    var options = QuantizationOptions(
      model: Fixture.model, recipe: try Recipe(yaml: yaml, source: "r.yaml"),
      output: scratch.path + "/out")
    options.calibration = [Fixture.text]
    (options.samples, options.length) = (8, 64)
    #expect(try QuantizationRun(options)().layers.allSatisfy { !$0.scheme.isEmpty })
  }

  /// A type with groups of its own keeps them under a scheme whose groups are adaptive.
  @Test func blockTypesKeepTheirGroups() throws {
    let yaml = """
      scheme:
        weights: { bits: 4, granularity: adaptive, group: 4 }
      overrides:
        - targets: "layers.*.mlp.up_proj"
          weights: { type: mxfp4 }
      steps: [ rtn ]
      """
    let options = QuantizationOptions(
      model: Fixture.model, recipe: try Recipe(yaml: yaml, source: "r.yaml"),
      output: scratch.path + "/out")
    for layer in try QuantizationRun(options)().layers where layer.name.hasSuffix("up_proj") {
      #expect(layer.scheme.hasPrefix("e2m1 group 32 "), "\(layer.scheme)")
    }
  }

  /// What a GGUF file cannot hold is said of the format that was chosen.
  @Test func lossesAreThoseOfTheChoice() throws {
    func warnings(_ type: String) throws -> Set<String> {
      let yaml = """
        scheme:
          weights: { type: \(type), group: 32 }
          ignore: [ "layers.*.mlp.down_proj" ]
        steps: [ rtn ]
        """
      var options = QuantizationOptions(
        model: Fixture.model, recipe: try Recipe(yaml: yaml, source: "r.yaml"),
        output: scratch.path + "/out.gguf")
      (options.format, options.overwrite) = (.gguf, true)
      var run = QuantizationRun(options)
      var warnings: Set<String> = []
      run.warn = { warnings.insert($0) }
      _ = try run()
      return warnings
    }
    let integers = try warnings("int4")
    #expect(try !warnings("[ int4, nf4 ]").subtracting(integers).isEmpty)
  }

  /// Scales that need several groups are refused before anything is loaded.
  @Test(arguments: [
    "bits: 4, granularity: adaptive, scales: int-row", "bits: 4, scales: int-row",
    "type: nf4, granularity: tensor, scales: nested",
  ])
  func scalesThatNeedGroupsAreRefusedByThePlan(_ weights: String) throws {
    #expect {
      try run(weights, text: false)
    } throws: { error in
      let error = error as? RecipeError
      return error?.line == 2 && "\(error as Any)".contains("needs several")
    }
  }

  @Test(arguments: [
    ("type: [ int4, e3m2 ]", "formats of as many bits"), ("type: [ int, e2m1 ]", "use int4"),
    ("type: [ e2m1, e2m1 ]", "is there twice"), ("type: []", "names no format"),
    ("type: [ e2m1, fp5 ]", "did you mean"),
    ("type: [ e2m1, mxfp4 ], group: 16", "settles 'group'"),
    ("bits: 4, threshold: 0.1", "is for granularity: adaptive"),
    ("bits: 4, granularity: adaptive, threshold: 0", "more than 0"),
    ("type: [ int4, e2m1 ], symmetric: false", "no zero points"),
  ])
  func choicesThatCannotBe(_ weights: String, _ message: String) throws {
    let error = #expect(throws: RecipeError.self) { try run(weights, text: false) }
    #expect("\(error.map { "\($0)" } ?? "")".contains(message), "\(String(describing: error))")
    #expect(try scratch.entries().isEmpty)
  }

  @Test func plansSayWhatIsOpen() throws {
    let recipe = try Recipe(
      yaml: "scheme: { weights: { type: [ e2m1, nf4 ], granularity: adaptive, group: 8 } }\n"
        + "overrides: [ { targets: \"*down_proj\", weights: { type: int, bits: 8, group: 4 } } ]\n"
        + "steps: [ rtn ]", source: "r.yaml")
    let layout = try OpenedModel(path: Fixture.model).layout()
    let plan = try Plan(recipe, for: layout)
    let text = plan.text(withCalibration: false)
    #expect(
      text.contains("e2m1 group 8 symmetric or nf4 group 8 symmetric or larger groups min-mse"))
    #expect(
      plan.layers.filter { $0.choice == nil }.map(\.module.name).allSatisfy {
        $0.hasSuffix("down_proj")
      })
    let again = try Plan(Recipe(yaml: recipe.canonicalText, source: "r.yaml"), for: layout)
    #expect(again.layers == plan.layers)
    #expect(recipe.canonicalText.contains("type: [ e2m1, nf4 ]"))
  }
}
