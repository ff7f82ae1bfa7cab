import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// What every method of the catalogue must show.
@Suite struct MethodContractTests {
  static let names = MethodCatalog.all.map { $0.name }

  /// A method with few enough iterations for a test.
  static func method(_ name: String) -> any QuantizationMethod {
    guard let type = MethodCatalog.all.first(where: { $0.name == name }) else {
      preconditionFailure("no method \(name)")
    }
    let method = type.init()
    if var trained = method as? any ReconstructionMethod {
      trained.iterations = 300
      return trained
    }
    if var discQuant = method as? DiscQuant {
      discQuant.iterations = 300
      return discQuant
    }
    return method
  }

  @Test(arguments: names, [3, 4]) func isNoWorseThanRounding(_ name: String, bits: Int) throws {
    let layer = CorrelatedLayer(seed: 5)
    let scheme = try scheme(bits: bits)
    let own = layer.outputError(of: try layer.solution(Self.method(name), scheme).dequantized())
    let rounded = layer.outputError(
      of: try RoundToNearest.quantize(layer.weights, scheme).dequantized())
    #expect(name == "rtn" ? own == rounded : own < rounded, "\(own), rounding \(rounded)")
  }

  @Test(arguments: names, ["fp4", "nf4", "e3m0", "mxfp4", "nvfp4"])
  func isNoWorseThanRoundingOnFloats(_ name: String, word: String) throws {
    let block = NumberFormats.blocks[word]
    // LoRA-rounding lives from the grid it learns, dgq from the one it finds, and such scales stay.
    guard !["cbq", "dgq"].contains(name) || block == nil else { return }
    let format = try #require(NumberFormats.named(block?.format ?? word))
    let scheme = WeightScheme(
      format: format, granularity: block.map { .group($0.group) } ?? .channel,
      scales: block?.scales ?? .float)
    let layer = CorrelatedLayer(columns: 64, seed: 9)
    let solution = try layer.solution(Self.method(name), scheme)
    let rounded = layer.outputError(
      of: try RoundToNearest.quantize(layer.weights, scheme).dequantized())
    let own = layer.outputError(of: solution.dequantized())
    // Straight-through gradients first lead these two away from rounding where steps are uneven, and after
    // 300 iterations they are on their way back, between 0.6 and 1.15 by the last digits of the products.
    let bound = rounded * (["adaquant", "lrq"].contains(name) ? 1.3 : 1)
    #expect(name == "rtn" ? own == rounded : own < bound, "\(own), rounding \(rounded)")
    // On the format's own codes and scales: storing and reading changes nothing.
    let table = try #require(solution.gridTable)
    let again = try table.quantize(solution.dequantized(), format: format)
    #expect(again.dequantized().values == solution.dequantized().values)
    #expect(again.levels.map(\.values) == solution.levels.map(\.values))
    #expect(solution.format.name == format.name)
  }

  /// On scales in two levels, which a learned grid must not move.
  @Test(arguments: names, [ScaleFormat.rowPowers, .rowIntegers, .nested, .dyadic8])
  func keepsScalesOfTwoLevels(_ name: String, scales: ScaleFormat) throws {
    // These two live from grids of their own.
    guard !["cbq", "dgq"].contains(name) else { return }
    let scheme = WeightScheme(
      format: IntegerFormat.int4, granularity: .group(16), scales: scales)
    let layer = CorrelatedLayer(columns: 64, seed: 10)
    let solution = try layer.solution(Self.method(name), scheme)
    let grids = try scheme.grids(for: layer.weights)
    #expect(solution.levels.map(\.values) == grids.levels().map(\.values))
    #expect(solution.nested == grids.nested && (grids.nested != nil) == (scales == .nested))
    let rounded = layer.outputError(
      of: try RoundToNearest.quantize(layer.weights, scheme).dequantized())
    #expect(layer.outputError(of: solution.dequantized()) <= 1.3 * rounded)
  }

  @Test(arguments: names) func doesNotDependOnThreads(_ name: String) throws {
    let layer = CorrelatedLayer(seed: 6)
    let scheme = try scheme(bits: 3, .group(16), symmetric: false)
    var results: [QuantizedTensor] = []
    for threads in [1, 2, 3] {
      Parallelism.threads = threads
      results.append(try layer.solution(Self.method(name), scheme))
    }
    for other in results.dropFirst() {
      #expect(other.codeValues == results[0].codeValues)
      #expect(other.levels[0].values == results[0].levels[0].values)
    }
  }

  @Test(arguments: names) func keepsWeightsThatAreOnTheGrid(_ name: String) throws {
    let layer = CorrelatedLayer(seed: 7)
    // Every row holds −8·¼ and 7·¼, so the asymmetric min-max grid is exactly ¼ · −8...7.
    let columns = layer.weights.columns
    let codes = (0..<layer.weights.count).map { i in
      i % columns < 2 ? (i % columns == 0 ? -8 : 7) : i * 7919 % 16 - 8
    }
    let onGrid = Tensor(codes.map { Float($0) * 0.25 }, shape: layer.weights.shape)
    let exact = CorrelatedLayer(weights: onGrid, inputsOf: layer)
    let scheme = try scheme(bits: 4, symmetric: false, range: .minMax)
    let result = try exact.solution(Self.method(name), scheme)
    #expect(result.dequantized().values == onGrid.values)
  }

  /// A method that does not say so is run once where several seeds are asked for.
  @Test(arguments: names) func dependsOnTheSeedOnlyIfItSaysSo(_ name: String) throws {
    let method = Self.method(name)
    guard !type(of: method).usesSeed else { return }
    let layer = CorrelatedLayer(seed: 8)
    let results = try [UInt64(0), 1].map {
      try layer.solution(method, scheme(bits: 3), seed: $0).codeValues
    }
    #expect(results[0] == results[1])
  }

  @Test(arguments: names) func hasCitationAndSummary(_ name: String) {
    guard let type = MethodCatalog.all.first(where: { $0.name == name }) else { return }
    #expect(!type.citation.isEmpty && type.summary.hasSuffix("."))
  }
}
