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

  // MARK: - Injection

  /// The function stays bit for bit, and what layers read is κ times as large in as many channels.
  @Test(arguments: [
    (true, false, false), (false, true, false), (false, false, true), (true, true, true),
  ])
  func injectedOutliersLeaveTheFunction(_ sites: (Bool, Bool, Bool)) throws {
    let problem = try SmallNetwork().problem(0, carried: [:])
    var method = InjectOutliers()
    (method.norms, method.feedForward, method.values) = sites
    let result = try method.transform(problem)
    let context = problem.makeContext(8)
    let x = problem.original.activations
    #expect(result.block(x, context).values == problem.block(x, context).values)
    let before = inputMaxima(problem.block, problem)
    let after = inputMaxima(result.block, problem)
    let wanted = [
      "q_proj": sites.0, "up_proj": sites.0, "down_proj": sites.1, "o_proj": sites.2,
    ]
    for (layer, isWanted) in wanted {
      let (a, b) = (before[layer] ?? [], after[layer] ?? [])
      let grown = zip(a, b).count { $1 == 64 * $0 && $0 > 0 }
      // Query heads that share a key head share the channel.
      #expect(isWanted ? grown >= 3 && grown < 13 : grown == 0, "\(layer): \(grown)")
      #expect(zip(a, b).count { $0 == $1 } == a.count - grown)
    }
    #expect(result.parameters.isEmpty == !sites.0)
    #expect(result.warnings.count == 1)
  }

  @Test func normsOfAllBlocksGetTheSameChannels() throws {
    let network = try SmallNetwork()
    let grown = try [0, 1].map { index in
      var problem = try network.problem(index, carried: [:])
      let result = try InjectOutliers().transform(problem)
      var before: [Float] = []
      problem.block.forEachNorm { name, norm in
        if name.hasSuffix("input_layernorm") { before = norm.weight.values }
      }
      let name = "model.layers.\(index).input_layernorm.weight"
      let after = try #require(result.parameters[name]).values
      return before.indices.filter { after[$0] != before[$0] }
    }
    #expect(grown[0] == grown[1] && grown[0].count == 3)
  }

  @Test func injectionNeedsASiteAndSensibleNumbers() throws {
    var problem = try SmallNetwork().problem(0, carried: [:])
    problem.schemes["model.layers.0.self_attn.k_proj"] = nil
    problem.schemes["model.layers.0.mlp.up_proj"] = nil
    let unquantized = problem
    #expect(throws: MethodError.self) { try InjectOutliers().transform(unquantized) }
    let scheme = LayerScheme(weights: nil)
    for bad: Float in [0, -1, .nan, .infinity, 0x1p40] {
      var method = InjectOutliers()
      method.factor = bad
      #expect(throws: SchemeError.self) { try method.validate(scheme, rows: 8, columns: 8) }
    }
    for bad in [0, 9] {
      var method = InjectOutliers()
      method.channels = bad
      #expect(throws: SchemeError.self) { try method.validate(scheme, rows: 8, columns: 8) }
    }
  }

  private func inputMaxima(
    _ block: any TransformerBlock, _ problem: BlockProblem
  ) -> [String: [Float]] {
    var result: [String: [Float]] = [:]
    var context = problem.makeContext(8)
    context.observe = { name, input in
      let layer = name.split(separator: ".").last.map(String.init) ?? ""
      var maxima = [Float](repeating: 0, count: input.columns)
      for (i, x) in input.values.enumerated() {
        maxima[i % input.columns] = max(maxima[i % input.columns], abs(x))
      }
      result[layer] = maxima
    }
    _ = block(problem.original.activations, context)
    return result
  }
}
