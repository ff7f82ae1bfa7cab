import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// LRQ: golden values (Scripts/golden/lrq.py) and what its equations say.
@Suite struct LRQTests {
  let layer = CorrelatedLayer(seed: 3)

  @Test(arguments: OffsetRoundingTests.cases) func isTheReference(_ name: String) throws {
    let weights = try GoldenFile("layer.safetensors").floats("weight")
    let golden = try GoldenFile("LRQ/\(name).safetensors")
    let parts = try GoldenMethodTests.Case(name)
    let grid = try parts.grid(golden, steps: try golden.floats("l1").exp())
    let keys = ["l1", "l2", "u2", "r2", "c2"]
    var method = LRQ()
    method.rank = 5
    var variables = try method.variables(for: weights, parts.scheme)
    // l1 is the whole logarithm of the step there, and the factor on the initial one here.
    let zero = Tensor(repeating: 0, shape: grid.scales.shape)
    let leaves = try [zero] + keys.dropFirst().map { try golden.floats($0) }
    let shapes = variables.leaves.map(\.shape)
    #expect(shapes == [grid.scales.shape, [16, 5], [5, 48], [16], [48]])
    let shaped = zip(leaves, shapes).map { $0.reshaped($1).detached.tracked() }
    variables.leaves = shaped
    let state = try #require(variables as? LRQVariables)
    let result = weights.flexRounded(
      grid, logStep: state.logStep, v2: state.left.matmul(state.right).addingRow(state.column),
      v3: state.row)
    expectClose(result, try golden.floats("dequantized"), tolerance: 1e-6)
    let gradients = (result * (try golden.floats("gradient"))).sum().gradients(of: shaped)
    for (key, gradient) in zip(keys, gradients) {
      expectClose(gradient.values, try golden.floats("d\(key)").values, tolerance: 2e-5)
    }
  }

  @Test(arguments: [Granularity.tensor, .channel, .group(16)], [true, false])
  func startsAtRoundToNearest(_ granularity: Granularity, symmetric: Bool) throws {
    for bits in 2...8 {
      let scheme = try scheme(bits: bits, granularity, symmetric: symmetric)
      let start = try LRQ().variables(for: layer.weights, scheme)
      let rounded = try RoundToNearest.quantize(layer.weights, scheme)
      #expect(start.weights().values == rounded.dequantized().values)
      #expect(try start.quantized().codeValues == rounded.codeValues)
      #expect(try start.quantized().levels[0].values == rounded.levels[0].values)
    }
  }

  /// The rank is the largest with at most half of FlexRound's parameters.
  @Test(arguments: [[64, 64], [32, 64], [172, 64], [64, 172], [768, 256]])
  func learnsHalfOfFlexRoundsParameters(_ shape: [Int]) throws {
    var generator = SeededGenerator(seed: 1)
    let weights = Tensor.normal(shape: shape, using: &generator)
    let scheme = try scheme(bits: 4, range: .minMax)
    func count(_ method: some LearnableRounding) throws -> Int {
      try method.variables(for: weights, scheme).leaves.reduce(0) { $0 + $1.count }
    }
    let flexRound = try count(FlexRound())
    #expect(flexRound == shape[0] + shape[0] * shape[1] + shape[0])
    var method = LRQ()
    #expect(try 2 * count(method) <= flexRound)
    method.rank = method.rank(rows: shape[0], columns: shape[1], steps: shape[0]) + 1
    #expect(try 2 * count(method) > flexRound)
  }

  @Test func rankIsAtMostTheShorterSide() throws {
    let scheme = LayerScheme(weights: try scheme(bits: 4))
    var method = LRQ()
    method.rank = 8
    try method.validate(scheme, rows: 8, columns: 16)
    method.rank = 9
    let error = #expect(throws: SchemeError.self) {
      try method.validate(scheme, rows: 8, columns: 16)
    }
    #expect(error.map { "\($0)".contains("use 1 to 8") } == true)
    method.rank = 0
    #expect(method.rank(rows: 3, columns: 2, steps: 3) == 1)
  }

  @Test func parametersAreReported() throws {
    var method = LRQ()
    (method.iterations, method.rank) = (2, 3)
    let scheme = LayerScheme(weights: try scheme(bits: 4))
    let (rows, columns) = (layer.weights.rows, layer.weights.columns)
    let expected = rows + 3 * (rows + columns) + rows + columns
    for unit in ReconstructionUnit.allCases {
      method.unit = unit
      #expect(try method.solve(layer.problem(scheme)).learnedParameters == expected)
    }
    #expect(try RoundToNearest().solve(layer.problem(scheme)).learnedParameters == nil)
  }
}
