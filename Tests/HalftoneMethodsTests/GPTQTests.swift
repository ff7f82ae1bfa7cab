import HalftoneLayers
import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// What GPTQ's options promise.
@Suite struct GPTQTests {
  @Test func aDampingSearchIsNoWorseThanOneDamping() throws {
    for seed in 1...4 {
      let problem = try CorrelatedLayer(seed: UInt64(seed)).layerProblem(scheme(bits: 3))
      let plain = problem.error(of: try GPTQ().solve(problem).weight.dequantized())
      var method = GPTQ()
      method.dampingSearch = true
      let found = problem.error(of: try method.solve(problem).weight.dequantized())
      let each = try GPTQ.dampingFactors.map { factor in
        var method = GPTQ()
        method.damping *= factor
        return problem.error(of: try method.solve(problem).weight.dequantized())
      }
      #expect(found == each.min() && found <= plain)
    }
  }

  @Test func staticGroupsKeepTheGridsOfTheOriginalWeights() throws {
    let problem = try CorrelatedLayer(seed: 2).layerProblem(scheme(bits: 3, .group(16)))
    let grids = try problem.scheme.grids(for: problem.weights)
    var method = GPTQ()
    method.actOrder = false
    #expect(try method.solve(problem).weight.levels[0].values == grids.scales.values)
    method.staticGroups = false
    #expect(try method.solve(problem).weight.levels[0].values != grids.scales.values)
  }

  @Test func actOrderNeedsStaticGroups() throws {
    var method = GPTQ()
    method.staticGroups = false
    let groups = LayerScheme(weights: try scheme(bits: 4, .group(16)))
    #expect {
      try method.validate(groups, rows: 16, columns: 48)
    } throws: {
      "\($0)".contains("static-groups: true")
    }
    try method.validate(LayerScheme(weights: try scheme(bits: 4)), rows: 16, columns: 48)
    method.actOrder = false
    try method.validate(groups, rows: 16, columns: 48)
    (method.dampingSearch, method.damping) = (true, 0)
    #expect(throws: SchemeError.self) { try method.validate(groups, rows: 16, columns: 48) }
  }

  @Test(arguments: [true, false]) func copesWithInputsThatSpanLittle(search: Bool) throws {
    var method = GPTQ()
    method.dampingSearch = search
    for inputs in DegenerateInputs.allCases {
      let problem = try inputs.problem(scheme(bits: 3))
      let solution = try method.solve(problem)
      let nearest = try RoundToNearest.quantize(problem.weights, problem.scheme)
      let error = problem.error(of: solution.weight.dequantized())
      #expect(error.isFinite && error <= problem.error(of: nearest.dequantized()), "\(inputs)")
      guard inputs == .zero else { continue }
      #expect(solution.weight.codeValues.allSatisfy { $0 == 0 })
      #expect(solution.warnings.contains { $0.contains("always zero") })
    }
  }

  // MARK: - Asymmetric calibration

  @Test func asymmetricCalibrationWithEqualInputsIsTheSymmetricOne() throws {
    let problem = try CorrelatedLayer(seed: 5).layerProblem(scheme(bits: 3, .group(16)))
    let crossed = LayerProblem(
      name: "layer", weights: problem.weights, scheme: problem.scheme, hessian: problem.hessian,
      crossMoments: problem.hessian)
    var method = GPTQ()
    let plain = try method.solve(problem).weight
    method.asymmetric = true
    #expect(try method.solve(crossed).weight.codeValues == plain.codeValues)
  }

  /// ‖W·X₀ − Ŵ·X‖² from moments is the sum over tokens, less what no code changes.
  @Test func errorsFromMomentsAreThoseOfTheOutputs() throws {
    let drift = DriftedLayer(seed: 6)
    let problem = try drift.problem(scheme(bits: 3))
    let rounded = try RoundToNearest.quantize(problem.weights, problem.scheme).dequantized()
    let constant = drift.outputError(of: problem.weights)
    let expected = drift.outputError(of: rounded) - constant
    #expect(abs(problem.error(of: rounded) - expected) < 1e-4 * constant)
  }

  @Test(arguments: [2, 3, 4, 8]) func asymmetricTargetsAreTheOriginalOutputs(bits: Int) throws {
    let drift = DriftedLayer(seed: 7)
    let problem = try drift.problem(scheme(bits: bits))
    var method = GPTQ()
    let plain = try method.solve(problem.withoutCrossMoments).weight.dequantized()
    method.asymmetric = true
    let own = try method.solve(problem).weight.dequantized()
    #expect(drift.outputError(of: own) < drift.outputError(of: plain))
  }

  /// A block hands each layer the moments of both streams, sample by sample.
  @Test(arguments: [true, false]) func blocksObserveBothStreams(sequential: Bool) throws {
    let drift = DriftedLayer(seed: 8)
    let scheme = try scheme(bits: 3)
    let layer = drift.layer
    let plain = layer.problem(LayerScheme(weights: scheme))
    let problem = BlockProblem(
      index: 0, block: plain.block, schemes: plain.schemes, original: plain.original,
      quantized: ActivationStream(activations: drift.inputs, length: layer.length),
      targets: plain.targets, training: plain.training, heldOut: plain.heldOut,
      makeContext: plain.makeContext, seed: 1, report: { _ in })
    var method = GPTQ()
    (method.asymmetric, method.trueSequential) = (true, sequential)
    let found = try #require(try method.solve(problem).layers["layer"]).weight
    let expected = try method.solve(drift.problem(scheme)).weight
    // Sums in another order may decide a tie otherwise.
    let same = zip(found.codeValues, expected.codeValues).count { $0 == $1 }
    #expect(same >= expected.codeValues.count - 2)
    #expect(
      found.codeValues != (try method.solve(problem.symmetric).layers["layer"]?.weight.codeValues))
  }
}

extension BlockProblem {
  /// The same with the quantized stream for the original one.
  fileprivate var symmetric: BlockProblem {
    BlockProblem(
      index: index, block: block, schemes: schemes, original: quantized, quantized: quantized,
      targets: targets, training: training, heldOut: heldOut, makeContext: makeContext, seed: seed,
      report: report)
  }
}
