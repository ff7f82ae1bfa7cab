import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Each method against an independent implementation in numpy and torch float64
/// (Scripts/golden/methods.py; Golden/README.md says what each file holds).
@Suite struct GoldenMethodTests {
  /// "w3-group-asymmetric-minmax-actorder" in its parts.
  struct Case {
    let scheme: WeightScheme
    let options: Set<String>
    /// What turns stored unsigned codes into ours: 2^(b−1) where asymmetric.
    let offset: Int

    init(_ name: String) throws {
      options = Set(name.split(separator: "-").map(String.init))
      let bits =
        options.contains("w3") ? 3 : options.contains("w2") ? 2 : options.contains("w4") ? 4 : 8
      let granularity: Granularity =
        options.contains("tensor") ? .tensor : options.contains("group") ? .group(16) : .channel
      let symmetric = options.contains("symmetric")
      scheme = try HalftoneMethodsTests.scheme(
        bits: bits, granularity, symmetric: symmetric,
        range: options.contains("minmax") ? .minMax : .minMSE)
      offset = symmetric ? 0 : 1 << (bits - 1)
    }

    /// The grid of stored steps, its zeros in our codes.
    func grid(_ golden: GoldenFile, steps: Tensor) throws -> GridTable {
      let half = Float(1 << (scheme.format.bits - 1))
      let zeros =
        offset == 0
        ? Tensor(repeating: 0, shape: steps.shape)
        : Tensor(try golden.integers("zero_points").map { Float($0) - half }, shape: steps.shape)
      return GridTable(scales: steps.detached, zeros: zeros, low: -half, high: half - 1)
    }
  }

  @Test(arguments: [2, 3, 4, 8], [true, false]) func roundToNearest(bits: Int, symmetric: Bool)
    throws
  {
    let layer = try GoldenFile("layer.safetensors").floats("weight")
    let golden = try GoldenFile("RTN/\(symmetric ? "symmetric" : "asymmetric").safetensors")
    for (word, granularity) in [
      ("tensor", Granularity.tensor), ("channel", .channel), ("group", .group(16)),
    ] {
      for range in [RangeRule.minMax, .minMSE] {
        let prefix = "w\(bits).\(word).\(range == .minMax ? "minmax" : "minmse")"
        let scheme = try scheme(bits: bits, granularity, symmetric: symmetric, range: range)
        let result = try RoundToNearest.quantize(layer, scheme)
        let offset = symmetric ? 0 : 1 << (bits - 1)
        #expect(
          result.codeValues.map { Int($0) + offset } == (try golden.integers("\(prefix).codes")),
          "\(prefix)")
        expectClose(result.levels[0], try golden.floats("\(prefix).scales"), tolerance: 1e-6)
      }
    }
  }

  @Test(arguments: [
    "w3-channel-symmetric-minmse-actorder", "w3-channel-symmetric-minmse",
    "w3-group-asymmetric-minmax-actorder", "w3-group-asymmetric-minmax",
    "w4-channel-asymmetric-minmax-actorder", "w4-channel-asymmetric-minmse",
    "w4-channel-symmetric-minmax-actorder-dead", "w4-group-symmetric-minmse-actorder",
    "w4-group-symmetric-minmse", "w3-channel-symmetric-minmse-actorder-crossed",
  ]) func gptq(_ name: String) throws {
    let layer = try GoldenFile("layer.safetensors")
    let golden = try GoldenFile("GPTQ/\(name).safetensors")
    let parts = try Case(name)
    let isCrossed = parts.options.contains("crossed")
    var hessian = try moments("hessian", of: isCrossed ? golden : layer)
    if parts.options.contains("dead") {
      for j in try layer.integers("dead") {
        for i in 0..<48 { (hessian[i, j], hessian[j, i]) = (0, 0) }
      }
    }
    var method = GPTQ()
    method.actOrder = parts.options.contains("actorder")
    method.staticGroups = method.actOrder
    method.asymmetric = isCrossed
    for blockSize in [7, 16, 128] {
      method.blockSize = blockSize
      let solution = try method.solve(
        LayerProblem(
          name: "layer", weights: try layer.floats("weight"), scheme: parts.scheme,
          hessian: hessian, crossMoments: isCrossed ? try moments("cross", of: golden) : nil))
      let codes = solution.weight.codeValues.map { Int($0) + parts.offset }
      #expect(codes == (try golden.integers("codes")), "block size \(blockSize)")
      expectClose(solution.weight.levels[0], try golden.floats("scales"), tolerance: 1e-5)
    }
  }

  @Test(arguments: [
    "w3-channel-symmetric-minmse-weights-relaxed", "w3-channel-asymmetric-minmax-rtn",
    "w4-group-symmetric-minmse-weights", "w3-channel-symmetric-minmse-weights-outliers",
    "w3-channel-symmetric-minmse-rtn-crossed",
  ]) func quantEase(_ name: String) throws {
    let golden = try GoldenFile("QuantEase/\(name).safetensors")
    let parts = try Case(name)
    let isCrossed = parts.options.contains("crossed")
    var method = QuantEase()
    method.start = parts.options.contains("rtn") ? .rtn : .weights
    method.relaxed = parts.options.contains("relaxed")
    method.sweeps = method.relaxed ? 6 : method.start == .rtn && !isCrossed ? 4 : 3
    method.outliers = parts.options.contains("outliers") ? 15 / 768 : 0
    method.asymmetric = isCrossed
    let problem = LayerProblem(
      name: "layer", weights: try GoldenFile("layer.safetensors").floats("weight"),
      scheme: parts.scheme, hessian: try moments("hessian", of: golden),
      crossMoments: isCrossed ? try moments("cross", of: golden) : nil)
    let weight = try method.solve(problem).weight
    #expect(
      weight.codeValues.map { Int($0) + parts.offset } == (try golden.integers("codes")))
    expectClose(weight.levels[0], try golden.floats("scales"), tolerance: 1e-5)
    let error = problem.rowErrors(of: weight.dequantized()).reduce(0, +)
    expectClose([Float(error)], try golden.floats("error").values, tolerance: 1e-5)
    if let outliers = weight.outliers {
      #expect(outliers.positions == (try golden.integers("positions")))
      expectClose(outliers.values, try golden.floats("outliers").values, tolerance: 1e-4)
    }
  }

  private func moments(_ tensor: String, of file: GoldenFile) throws -> SquareMatrix {
    SquareMatrix(size: 48, elements: try file.floats(tensor).values.map(Double.init))
  }

  @Test(arguments: [
    "w3-channel-asymmetric", "w3-group-symmetric", "w3-tensor-symmetric", "w4-channel-symmetric",
    "w4-tensor-asymmetric",
  ]) func flexRound(_ name: String) throws {
    let weights = try GoldenFile("layer.safetensors").floats("weight")
    let golden = try GoldenFile("FlexRound/\(name).safetensors")
    let grid = try Case(name).grid(golden, steps: try golden.floats("l1").exp())
    let leaves = [
      Tensor(repeating: 0, shape: grid.scales.shape), try golden.floats("v2"),
      try golden.floats("v3").reshaped([16]),
    ].map { $0.tracked() }
    let result = weights.flexRounded(grid, logStep: leaves[0], v2: leaves[1], v3: leaves[2])
    expectClose(result, try golden.floats("dequantized"), tolerance: 1e-6)
    let gradients = (result * (try golden.floats("gradient"))).sum().gradients(of: leaves)
    expectClose(gradients[0].values, try golden.floats("dl1").values, tolerance: 1e-5)
    expectClose(gradients[1].values, try golden.floats("dv2").values, tolerance: 1e-5)
    expectClose(gradients[2].values, try golden.floats("dv3").values, tolerance: 1e-5)
  }

  @Test(arguments: [
    "w3-channel-asymmetric", "w3-group-symmetric", "w3-tensor-symmetric", "w4-channel-symmetric",
    "w4-tensor-asymmetric",
  ]) func adaRound(_ name: String) throws {
    let weights = try GoldenFile("layer.safetensors").floats("weight")
    let golden = try GoldenFile("AdaRound/\(name).safetensors")
    let parts = try Case(name)
    let grid = try parts.grid(golden, steps: try golden.floats("scales"))
    let leaf = try golden.floats("v").tracked()
    let soft = weights.adaRounded(grid, v: leaf)
    expectClose(soft, try golden.floats("soft"), tolerance: 1e-6)
    let dv = (soft * (try golden.floats("gradient"))).sum().gradients(of: [leaf])[0]
    expectClose(dv, try golden.floats("dv"), tolerance: 1e-5)
    let penalty = leaf.adaRoundPenalty(weight: 1, exponent: 3)
    expectClose([penalty.scalar], try golden.floats("regulariser").values, tolerance: 1e-5)
    expectClose(
      penalty.gradients(of: [leaf])[0], try golden.floats("regulariser_dv"), tolerance: 1e-5)
    var variables = AdaRoundVariables(weights, grid, parts.scheme.format, AdaRound().schedule)
    expectClose(variables.leaves[0], try golden.floats("v_initial"), tolerance: 1e-4)
    variables.leaves = [leaf]
    #expect(
      try variables.quantized().codeValues.map { Int($0) + parts.offset }
        == golden.integers("hard_codes"))
  }

  @Test(
    arguments: [
      "w3-channel-asymmetric", "w3-group-symmetric", "w3-tensor-symmetric", "w4-channel-symmetric",
      "w4-tensor-asymmetric",
    ], [false, true]) func loRARounding(_ name: String, hard: Bool) throws
  {
    let weights = try GoldenFile("layer.safetensors").floats("weight")
    let golden = try GoldenFile("LoRARounding/\(name).safetensors")
    let parts = try Case(name)
    let grid = try self.grid(golden, parts, steps: try golden.floats("scales"))
    let schedule = AdaRoundSchedule(weight: 0, startExponent: 1, endExponent: 1, warmUp: 0)
    let settings = LoRARounding(
      rank: 3, learnGrid: true, straightThrough: hard, schedule: schedule)
    var variables = LoRARoundingVariables(weights, grid, parts.scheme.format, settings)
    let names = ["log_step", "a1", "a2"]
    variables.leaves = try names.map { try golden.floats($0).tracked() }
    let kind = hard ? "hard" : "soft"
    let result = variables.weights()
    expectClose(result, try golden.floats(kind), tolerance: 1e-5)
    let gradients = (result * (try golden.floats("gradient"))).sum()
      .gradients(of: variables.leaves)
    for (gradient, leaf) in zip(gradients, names) {
      // The step's terms nearly cancel, which leaves 1e-4 of single precision.
      expectClose(gradient, try golden.floats("\(kind)_d\(leaf)"), tolerance: 1e-4)
    }
    expectClose(
      try variables.quantized().dequantized(), try golden.floats("hard"), tolerance: 1e-5)
  }

  private func grid(_ golden: GoldenFile, _ parts: Case, steps: Tensor) throws -> GridTable {
    let half = Float(1 << (parts.scheme.format.bits - 1))
    let zeros =
      parts.offset == 0
      ? Tensor(repeating: 0, shape: steps.shape)
      : Tensor(try golden.integers("zero_points").map { Float($0) - half }, shape: steps.shape)
    return GridTable(scales: steps.detached, zeros: zeros, low: -half, high: half - 1)
  }
}
