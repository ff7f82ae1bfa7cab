import HalftonePipeline
import HalftoneSchemes
import HalftoneTensor
import Testing

@Suite struct PlanTests {
  /// Two blocks of two layers.
  static let layout = ModelLayout(
    source: "tiny",
    modules: (0..<2).flatMap { block in
      [("self_attn.q_proj", 64, 64), ("mlp.down_proj", 64, 96)].map { name, rows, columns in
        ModelLayout.Module(
          name: "model.layers.\(block).\(name)", block: block, rows: rows, columns: columns,
          byteCount: rows * columns * 2)
      }
    }, blockCount: 2, hiddenSize: 64, vocabularySize: 100, contextLength: 128,
    byteCount: 2 * (2 * 64 * 64 + 2 * 64 * 96 + 100 * 64))

  static func plan(_ yaml: String, allowUnmatched: Bool = false) throws -> Plan {
    try Plan(
      Recipe(yaml: yaml, source: "r.yaml"), for: layout, allowUnmatched: allowUnmatched)
  }

  @Test func printing() throws {
    let plan = try Self.plan(
      """
      scheme:
        weights: { bits: 4, group: 32 }
        ignore: [ lm_head, layers.0.self_attn.q_proj ]
      overrides:
        - targets: "layers.*.mlp.down_proj"
          weights: { bits: 8, granularity: channel, symmetric: false }
      steps: [ rtn ]
      """)
    // q_proj: 64·64/2 codes + 16 shape + 4·64·2 scales = 2576; down_proj: 64·96 codes + 16 +
    // 4·64 scales + 4·16 zeros = 6480; bits (2·6480 + 2576)·8/(2·6144 + 4096) = 7.59.
    try #expect(
      plan.text(withCalibration: false)
        == Fixture.golden("Tests/HalftonePipelineTests/Golden/plan.txt"))
  }

  /// A method for whole networks holds its variables for every weight: 1.1 billion take 20 GB.
  @Test func wholeNetworksOfABillionWeightsFitTwentyGigabytes() throws {
    let (hidden, wide, keys, blocks) = (2048, 5632, 256, 22)
    let shapes = [
      ("self_attn.q_proj", hidden, hidden), ("self_attn.k_proj", keys, hidden),
      ("self_attn.v_proj", keys, hidden), ("self_attn.o_proj", hidden, hidden),
      ("mlp.gate_proj", wide, hidden), ("mlp.up_proj", wide, hidden),
      ("mlp.down_proj", hidden, wide),
    ]
    let modules = (0..<blocks).flatMap { block in
      shapes.map { name, rows, columns in
        ModelLayout.Module(
          name: "model.layers.\(block).\(name)", block: block, rows: rows, columns: columns,
          byteCount: rows * columns * 2)
      }
    }
    let weights = modules.reduce(0) { $0 + $1.rows * $1.columns }
    let layout = ModelLayout(
      source: "large", modules: modules, blockCount: blocks, hiddenSize: hidden,
      vocabularySize: 32_000, contextLength: 2048,
      byteCount: 2 * (weights + 2 * 32_000 * hidden))
    func peak(_ step: String) throws -> Int {
      let recipe = try Recipe(
        yaml: "scheme: { weights: { bits: 3, group: 64 } }\nsteps:\n  - \(step)", source: "r.yaml")
      return try Plan(recipe, for: layout, calibration: CalibrationSize(samples: 8, length: 256))
        .peakBytes(withCalibration: true)
    }
    let whole = try peak("discquant: { batch: 1 }")
    #expect(whole > 14 * weights && whole < 20_000_000_000)
    // The later blocks' weights as floats.
    let tail = try peak("pd-quant: { batch: 1 }")
    #expect(tail > 4 * weights * (blocks - 1) / blocks && tail < 20_000_000_000)
    #expect(try peak("brecq: { fisher: true }") > peak("brecq"))
    #expect(try peak("flexround: { last-block: logits }") > peak("flexround"))
    #expect(try peak("cbq: { window: 3 }") > peak("cbq: { window: 2 }"))
  }

  @Test func laterOverridesWin() throws {
    let plan = try Self.plan(
      """
      scheme: { weights: { bits: 4 }, inputs: { bits: 8 } }
      overrides:
        - { targets: "*", weights: { bits: 3 } }
        - { targets: [ "layers.0.*" ], weights: { bits: 2 }, inputs: none }
        - { targets: "layers.1.mlp.*", weights: none }
      steps: [ rtn ]
      """)
    #expect(plan.layers.map { $0.scheme?.weights?.format.bits } == [2, 2, 3, nil])
    #expect(plan.layers.map { $0.scheme?.inputs?.format.bits } == [nil, nil, 8, nil])
  }

  static let mistakes: [(yaml: String, line: Int, message: String)] = [
    (
      "scheme:\n  weights: { bits: 4 }\n  ignore: [ layers.*.mlp.dwn_proj ]\nsteps: [ rtn ]", 3,
      "did you mean 'layers.*.mlp.down_proj'?"
    ),
    (
      "scheme: { weights: { bits: 4 } }\noverrides:\n  - targets: lm_head\n    weights: { bits: 8 }"
        + "\nsteps: [ rtn ]", 3, "linear layers of blocks"
    ),
    (
      "scheme:\n  weights:\n    bits: 4\n    group: 60\nsteps: [ rtn ]", 4,
      "groups of 60 do not divide rows of 64"
    ),
    (
      "scheme: { weights: { bits: 4 } }\nsteps:\n  - gptq: { damping: -1.0 }", 3, "damping is -1.0"
    ),
    (
      "scheme: { weights: { bits: 4 } }\nsteps:\n  - cbq: { window: 3 }", 3,
      "takes 3 blocks together, but"
    ),
    (
      "scheme: { weights: { bits: 4 } }\nsteps: [ gptq ]\ncalibration: { length: 129 }", 0,
      "--length 128"
    ),
    (
      "scheme:\n  weights: { bits: 4 }\n  ignore: [ \"*\" ]\nsteps: [ rtn ]", 0,
      "leaves every layer"
    ),
  ]

  @Test(arguments: mistakes.indices) func mistakesNameTheirLine(_ index: Int) {
    let (yaml, line, message) = Self.mistakes[index]
    let error = #expect(throws: RecipeError.self) { try Self.plan(yaml) }
    #expect(error?.line == line, "\(String(describing: error))")
    #expect(error?.message.contains(message) == true, "\(String(describing: error))")
  }

  @Test(arguments: [("gptq", true), ("quantease", true), ("lrq", false), ("discquant", false)])
  func aPrecisionThatNothingTrainsInIsPointedOut(_ method: (name: String, warns: Bool)) throws {
    let yaml =
      "scheme:\n  weights: { bits: 4 }\nsteps: [ \(method.name) ]\ncalibration: { length: 64 }\n"
      + "training-precision: bfloat16"
    let plan = try Self.plan(yaml)
    #expect(plan.warnings.contains { $0.hasPrefix("training-precision") } == method.warns)
  }

  @Test func unmatchedPatternsCanBeAllowed() throws {
    let yaml = "scheme:\n  weights: { bits: 4 }\n  ignore: [ nothing ]\nsteps: [ rtn ]"
    let plan = try Self.plan(yaml, allowUnmatched: true)
    #expect(plan.warnings.count == 1)
    #expect(plan.warnings[0].contains("'nothing' matches no linear layer"))
  }

  /// The grid of `down_proj` after an override of a base; the canonical text means the same.
  @Test(arguments: [
    ("{ bits: 4 }", "{ symmetric: false }", "int4 channel asymmetric"),
    ("{ bits: 4 }", "{ type: int, group: 32 }", "int4 group 32 symmetric"),
    ("{ type: nvfp4 }", "{ range: min-max }", "e2m1 group 16 symmetric e4m3 scales"),
    ("{ type: nvfp4 }", "{ type: int, bits: 8 }", "int8 channel symmetric"),
    ("{ type: mxfp4 }", "{ type: fp8 }", "e4m3fn channel symmetric"),
    ("{ bits: 4, group: 64 }", "{ type: mxfp4 }", "e2m1 group 32 symmetric e8m0 scales"),
    ("{ bits: 4 }", "{ type: nf4 }", "nf4 channel symmetric"),
    ("{ type: fp4 }", "{ type: int4, symmetric: false }", "int4 channel asymmetric"),
  ])
  func overridesOfFormats(_ c: (base: String, override: String, grid: String)) throws {
    let yaml = """
      scheme: { weights: \(c.base) }
      overrides: [ { targets: "*down_proj", weights: \(c.override) } ]
      steps: [ rtn ]
      """
    let layout = ModelLayout(
      source: "wide",
      modules: Self.layout.modules.map { module in
        var module = module
        module.columns = 128
        return module
      }, blockCount: 2, hiddenSize: 64, vocabularySize: 100, contextLength: 128, byteCount: 1 << 20)
    let recipe = try Recipe(yaml: yaml, source: "r.yaml")
    let again = try Recipe(yaml: recipe.canonicalText, source: "r.yaml")
    let schemes = try [recipe, again].map { try Plan($0, for: layout).layers.map(\.scheme) }
    #expect(schemes[0][1]?.weights?.grid == c.grid)
    #expect(schemes[0] == schemes[1])
  }

  @Test(arguments: [
    ("{ type: fp8, symmetric: false }", "{ bits: 8 }", "no zero points"),
    ("{ bits: 4, symmetric: false, scales: e8m0 }", "{ bits: 8 }", "no zero points"),
    ("{ type: fp4, bits: 6 }", "{ bits: 8 }", "has 4 bits, not 6"),
    ("{ type: mxfp4, group: 16 }", "{ bits: 8 }", "settles 'group'"),
    ("{ type: fp4 }", "{ type: int }", "needs 'bits'"),
    ("{ type: fp4 }", "{ bits: 8 }", "has 4 bits, not 8"),
    ("{ type: mxfp4 }", "{ group: 16 }", "settles granularity"),
    ("{ type: fp5 }", "{ bits: 8 }", "did you mean"),
    ("{ bits: 4 }\n  inputs: { type: mxfp4 }", "{ bits: 8 }", "cannot be 'mxfp4'"),
  ])
  func formatsThatContradict(_ c: (base: String, override: String, message: String)) {
    let yaml =
      "scheme:\n  weights: \(c.base)\n"
      + "overrides: [ { targets: \"*down_proj\", weights: \(c.override) } ]\nsteps: [ rtn ]"
    let error = #expect(throws: RecipeError.self) { try Self.plan(yaml) }
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains(c.message) && text.hasPrefix("r.yaml:"), "\(text)")
  }

  /// A later override that says nothing of it does not hide what an earlier one left out.
  @Test func conflictsStayUntilTheyAreSettled() throws {
    func yaml(_ last: String) -> String {
      """
      scheme: { weights: { type: fp4 } }
      overrides:
        - { targets: "*down_proj", weights: { type: int } }
        - { targets: "*down_proj", weights: \(last) }
      steps: [ rtn ]
      """
    }
    #expect(throws: RecipeError.self) { try Self.plan(yaml("{ range: min-max }")) }
    let settled = try Self.plan(yaml("{ bits: 6 }"))
    #expect(settled.layers[1].scheme?.weights?.grid == "int6 channel symmetric")
    let inputs = """
      scheme: { weights: { bits: 4 }, inputs: { type: fp8 } }
      overrides: [ { targets: "*down_proj", inputs: { type: int } } ]
      steps: [ rtn ]
      """
    #expect(throws: RecipeError.self) { try Self.plan(inputs) }
  }

  @Test(arguments: Recipe.shippedNames) func shippedRecipesCanBePlanned(_ name: String) throws {
    var recipe = try Recipe.load(name)
    recipe.calibration.length = 128
    // Groups wider than this model's rows.
    if name.hasSuffix("-g128") || name.hasSuffix("-g64")
      || ["w4a16", "rtn-nf4-double", "dgq-w4a8"].contains(name)
    {
      #expect(throws: RecipeError.self) { try Plan(recipe, for: Self.layout) }
      return
    }
    let plan = try Plan(recipe, for: Self.layout)
    #expect(plan.bytesAfter < plan.bytesBefore)
    let needsNoText =
      ["w8a8-fp8", "w8a8-fp8-e3m4", "llm-int8"].contains(name)
      || name.hasPrefix("rtn") && name != "rtn-w4a16-bias-correction"
    #expect(plan.needsCalibration != needsNoText)
    #expect(plan.layers.allSatisfy { $0.scheme?.weights != nil })
  }

  @Test func memoryIsRefusedWithTheFigure() throws {
    let plan = try Self.plan("scheme: { weights: { bits: 4 } }\nsteps: [ rtn ]")
    try plan.check(1 << 30, false)
    let error = #expect(throws: PipelineError.self) { try plan.check(1 << 20, false) }
    #expect(error?.code == .usage)
    #expect(error?.message.contains("64.1 MiB, more than --memory 1.0 MiB") == true)
  }
}
