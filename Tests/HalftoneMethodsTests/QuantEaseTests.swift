import Foundation
import HalftoneLayers
import HalftoneMethods
import HalftonePipeline
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// What coordinate descent promises.
@Suite struct QuantEaseTests {
  @Test func withADiagonalHessianIsRoundToNearest() throws {
    let layer = CorrelatedLayer(seed: 3)
    var hessian = SquareMatrix(zeros: 48)
    for i in 0..<48 { hessian[i, i] = Double(i + 1) }
    var method = QuantEase()
    (method.start, method.sweeps) = (.weights, 1)
    let problem = LayerProblem(
      name: "layer", weights: layer.weights, scheme: try scheme(bits: 3), hessian: hessian)
    #expect(
      try method.solve(problem).weight.codeValues
        == RoundToNearest.quantize(layer.weights, problem.scheme).codeValues)
  }

  @Test(arguments: [Granularity.tensor, .channel, .group(16)], [2, 3, 4])
  func errorNeverGrowsFromSweepToSweep(_ granularity: Granularity, bits: Int) throws {
    let problem = try CorrelatedLayer(seed: 8).layerProblem(scheme(bits: bits, granularity))
    let start = try RoundToNearest.quantize(problem.weights, problem.scheme)
    let grids = try #require(start.gridTable)
    var descent = ColumnDescent(
      problem, grids: grids, values: start.dequantized(), isRounded: true, damping: 1e-4)
    var errors = [problem.error(of: start.dequantized())]
    for _ in 0..<8 {
      descent.sweep(rounding: true)
      let values = Tensor(descent.values, shape: problem.weights.shape)
      let onGrid = try grids.quantize(values, format: problem.scheme.format).dequantized()
      #expect(onGrid.values == values.values)
      errors.append(problem.error(of: values))
    }
    for (before, after) in zip(errors, errors.dropFirst()) {
      #expect(after <= before * (1 + 1e-6), "\(errors)")
    }
    #expect(errors[1] < 0.9 * errors[0])
  }

  @Test(arguments: QuantEase.Start.allCases, [true, false])
  func isNoWorseThanWhatItStartsFrom(_ start: QuantEase.Start, relaxed: Bool) throws {
    var method = QuantEase()
    (method.start, method.relaxed) = (start, relaxed)
    for (seed, granularity) in [(1, Granularity.channel), (2, .group(16)), (3, .tensor)] {
      for bits in [2, 3, 4] {
        let layer = CorrelatedLayer(seed: UInt64(seed))
        let problem = try layer.layerProblem(scheme(bits: bits, granularity, symmetric: bits != 3))
        let nearest = try RoundToNearest.quantize(layer.weights, problem.scheme)
        let reference = start == .gptq ? try GPTQ().solve(problem).weight : nearest
        let error = problem.error(of: try method.solve(problem).weight.dequantized())
        #expect(error < problem.error(of: reference.dequantized()))
      }
    }
  }

  /// The same Hessians for both, of the stream that GPTQ has quantized so far.
  @Test(arguments: [("stories260k", 5), ("books-7m", 1)])
  func isNoWorseThanGPTQOnAnyLayer(_ model: String, blocks: Int) throws {
    let comparison = SolverComparison()
    let layers = try comparison.run(
      Repository.path("Resources/models/\(model)"), bits: [3, 2], blocks: blocks)
    let results = comparison.results.values
    #expect(results.count == layers && layers > 0)
    for result in results {
      #expect(result.quantEase <= result.gptq, "\(result)")
      #expect(result.outliers < result.quantEase, "\(result)")
    }
  }

  @Test(arguments: [2, 3]) func outliersAreStoredAndLowerTheError(bits: Int) throws {
    for seed in [UInt64(1), 2, 3] {
      let problem = try CorrelatedLayer(seed: seed).layerProblem(scheme(bits: bits, .group(16)))
      var method = QuantEase()
      let plain = problem.error(of: try method.solve(problem).weight.dequantized())
      method.outliers = 0.01
      let kept = try method.solve(problem).weight
      let outliers = try #require(kept.outliers)
      #expect(outliers.positions.count == 12)  // of 24·48
      #expect(outliers.positions == outliers.positions.sorted())
      #expect(Set(outliers.positions).count == 12)
      #expect(problem.error(of: kept.dequantized()) < plain)
      let values = kept.dequantized().values
      #expect(outliers.positions.map { values[$0] } == outliers.values)
      // The codes below are the nearest ones, and all others are on the grid.
      let again = try #require(kept.gridTable).quantize(
        kept.dequantized(), format: problem.scheme.format)
      #expect(again.codeValues == kept.codeValues)
    }
  }

  @Test func thresholdingNeverRaisesTheError() throws {
    let problem = try CorrelatedLayer(seed: 4).layerProblem(scheme(bits: 3))
    let free = LargestElements.mark(20, of: problem.weights.values.map(abs))
    let rest = Tensor(
      zip(problem.weights.values, free).map { $1 ? 0 : $0 }, shape: problem.weights.shape)
    let grids = try problem.scheme.grids(for: rest)
    var descent = ColumnDescent(
      problem, grids: grids, values: problem.weights, isRounded: false, damping: 0)
    descent.setFree(free)
    descent.sweep(rounding: true)
    var errors: [Double] = []
    for _ in 0..<6 {
      errors.append(problem.error(of: Tensor(descent.values, shape: rest.shape)))
      let chosen = descent.threshold(
        20, rate: Float(0.9 / problem.hessian.largestEigenvalue()))
      #expect(chosen.count { $0 } == 20)
      errors.append(problem.error(of: Tensor(descent.values, shape: rest.shape)))
      descent.sweep(rounding: true)
    }
    for (before, after) in zip(errors, errors.dropFirst()) {
      #expect(after <= before * (1 + 1e-6), "\(errors)")
    }
  }

  @Test(arguments: QuantEase.Start.allCases, [Float(0), 0.02])
  func copesWithInputsThatSpanLittle(_ start: QuantEase.Start, outliers: Float) throws {
    var method = QuantEase()
    (method.start, method.outliers) = (start, outliers)
    for inputs in DegenerateInputs.allCases {
      let problem = try inputs.problem(scheme(bits: 3))
      let solution = try method.solve(problem)
      let nearest = try RoundToNearest.quantize(problem.weights, problem.scheme)
      let error = problem.error(of: solution.weight.dequantized())
      #expect(error.isFinite && error <= problem.error(of: nearest.dequantized()), "\(inputs)")
      #expect(solution.warnings.contains { $0.contains("always zero") } == (inputs == .zero))
      if inputs == .zero, outliers == 0 {
        #expect(solution.weight.codeValues == nearest.codeValues)
      }
    }
  }

  @Test func asymmetricTargetsAreTheOriginalOutputs() throws {
    let drift = DriftedLayer(seed: 2)
    for bits in [2, 3] {
      let problem = try drift.problem(scheme(bits: bits))
      var method = QuantEase()
      let plain = try method.solve(problem.withoutCrossMoments).weight.dequantized()
      method.asymmetric = true
      let own = try method.solve(problem).weight.dequantized()
      #expect(drift.outputError(of: own) < drift.outputError(of: plain))
      var gptq = GPTQ()
      gptq.asymmetric = true
      let start = try gptq.solve(problem).weight.dequantized()
      #expect(drift.outputError(of: own) < drift.outputError(of: start))
    }
  }

  /// Coordinate descent needs no inverse: without GPTQ's solution it starts from round-to-nearest.
  @Test func aHessianThatGPTQCannotFactorIsNoObstacle() throws {
    let layer = CorrelatedLayer(seed: 3)
    var hessian = SquareMatrix(zeros: 48)
    for i in 0..<48 { hessian[i, i] = 1 }
    (hessian[3, 4], hessian[4, 3]) = (1e3, 1e3)
    let problem = LayerProblem(
      name: "layer", weights: layer.weights, scheme: try scheme(bits: 3), hessian: hessian)
    let solution = try QuantEase().solve(problem)
    #expect(solution.warnings.contains { $0.contains("started from rounding to nearest") })
  }

  @Test func refusesWhatItCannotDo() throws {
    for change in [
      { $0.sweeps = 0 }, { $0.outliers = 0.5 }, { $0.outliers = .nan }, { $0.damping = -1 },
    ]
      as [(inout QuantEase) -> Void]
    {
      var method = QuantEase()
      change(&method)
      #expect(throws: SchemeError.self) {
        try method.validate(LayerScheme(weights: nil), rows: 1, columns: 1)
      }
    }
    var hessian = SquareMatrix(zeros: 48)
    hessian[3, 4] = .nan
    let layer = CorrelatedLayer(seed: 3)
    let problem = LayerProblem(
      name: "layer.7", weights: layer.weights, scheme: try scheme(bits: 3), hessian: hessian)
    #expect {
      try QuantEase().solve(problem)
    } throws: {
      "\($0)".contains("layer.7")
    }
    #expect {
      try Recipe(
        yaml: "scheme: { weights: { bits: 3 } }\nsteps:\n  - quantease: { start: zero }",
        source: "r")
    } throws: {
      "\($0)".contains("start' must be one of weights, rtn, gptq")
    }
  }

  @Test func marksTheLargestElements() {
    var generator = SeededGenerator(seed: 1)
    let values = (0..<500).map { i in i % 7 == 0 ? 1.5 : abs(generator.normal()) }
    for count in [0, 1, 70, 250, 499, 500] {
      let order = values.indices.sorted {
        values[$0] != values[$1] ? values[$0] > values[$1] : $0 < $1
      }
      let marked = LargestElements.mark(count, of: values)
      #expect(marked.indices.filter { marked[$0] } == order.prefix(count).sorted())
    }
  }
}
