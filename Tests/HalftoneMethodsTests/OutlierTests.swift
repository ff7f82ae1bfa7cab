import HalftoneLayers
import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// CBQ's coarse-to-fine detection and what is done about outliers.
@Suite struct OutlierTests {
  /// 1...16 with quartiles 4.75 and 12.25: everything above 23.5 is a candidate.
  private let bulk = (1...16).map(Float.init)

  @Test func aTailWithoutAGapHasNoOutliers() throws {
    let split = try #require(OutlierSplit(bulk, coarse: 1.5, fine: 1))
    #expect(split.outliers == 0 && split.largestReserved == 16)
  }

  @Test func theWidestGapCounts() throws {
    let split = try #require(
      OutlierSplit(bulk + [60, 30, 62, 31, 29], coarse: 1.5, fine: 1))
    #expect(split.outliers == 2 && split.largestReserved == 31)
  }

  @Test func oneOutlierAloneIsFound() throws {
    let split = try #require(OutlierSplit(bulk + [500], coarse: 1.5, fine: 1))
    #expect(split.outliers == 1 && split.largestReserved == 16)
  }

  @Test func emptyAndConstantSets() throws {
    #expect(OutlierSplit([], coarse: 1.5, fine: 1) == nil)
    let constant = try #require(OutlierSplit([2, 2, 2], coarse: 1.5, fine: 1))
    #expect(constant.outliers == 0 && constant.largestReserved == 2)
    let zeros = try #require(OutlierSplit([0, 0, 0, 0], coarse: 1.5, fine: 1))
    #expect(zeros.outliers == 0)
  }

  @Test func weightsAreClippedOnBothSides() {
    var values = bulk.map { $0 * 0.1 }
    values += [-70, 50]
    let clipped = TruncateOutliers().truncated(Tensor(values, shape: [3, 6])).values
    #expect(clipped.prefix(16) == values.prefix(16))
    #expect(clipped.suffix(2) == [-1.6, 1.6])
  }

  /// Channels that the norm's gain made large are made small again; the function stays, and the
  /// gains are reported by their names in the checkpoint.
  @Test func injectedChannelsAreDividedInTheNorm() throws {
    let network = try SmallNetwork()
    var problem = try network.problem(0, carried: [:])
    let site = try #require(problem.block.scalingSites.first)
    var gains = [Float](repeating: 1, count: site.channels)
    (gains[3], gains[40]) = (1 / 30, 1 / 50)
    problem.block.rescale(site, by: gains)
    for name in problem.schemes.keys {
      problem.schemes[name]?.inputs = InputScheme(
        format: try IntegerFormat(bits: 4), granularity: .token, symmetric: true, dynamic: true)
    }
    var method = TruncateOutliers()
    method.weights = false
    let treated = try method.transform(problem)
    let context = problem.makeContext(8)
    let x = problem.original.activations
    expectClose(treated.block(x, context), problem.block(x, context), tolerance: 1e-5)
    let norm = "model.layers.0.input_layernorm.weight"
    let after = try #require(treated.parameters[norm]).values
    var before: [Float] = []
    problem.block.forEachNorm { if $0 + ".weight" == norm { before = $1.weight.values } }
    let factors = zip(before, after).map { $0 / $1 }
    #expect(factors[3] > 3 && factors[40] > 3)
    #expect(factors.count { $0 > 1 } < 12)
    // s² is the channel's maximum by the largest reserved one, so what remains is s times that.
    let maxima = channelMaxima(treated.block, problem)
    #expect((maxima.max() ?? 0) < 0.3 * (channelMaxima(problem.block, problem).max() ?? 0))
  }

  private func channelMaxima(
    _ block: any TransformerBlock, _ problem: BlockProblem
  ) -> [Float] {
    var result = [Float](repeating: 0, count: 64)
    var context = problem.makeContext(8)
    context.observe = { name, input in
      guard name.hasSuffix("q_proj") else { return }
      for (i, x) in input.values.enumerated() { result[i % 64] = max(result[i % 64], abs(x)) }
    }
    _ = block(problem.original.activations, context)
    return result
  }

  /// Without quantized inputs, and where a layer concerned is not quantized, nothing is scaled.
  @Test func channelsAreLeftWhereScalingWouldNotServe() throws {
    var problem = try SmallNetwork().problem(0, carried: [:])
    #expect(try TruncateOutliers().transform(problem).parameters.isEmpty)
    problem.schemes["model.layers.0.self_attn.k_proj"] = nil
    problem.schemes["model.layers.0.mlp.up_proj"] = nil
    for name in problem.schemes.keys {
      problem.schemes[name]?.inputs = InputScheme(
        format: try IntegerFormat(bits: 4), granularity: .token, symmetric: true, dynamic: true)
    }
    let treated = try TruncateOutliers().transform(problem)
    #expect(treated.parameters.isEmpty)
    for (a, b) in zip(problem.block.linears, treated.block.linears)
    where a.name.hasSuffix("k_proj") || a.name.hasSuffix("up_proj") {
      #expect(a.weight.dense().values == b.weight.dense().values)
    }
  }
}
