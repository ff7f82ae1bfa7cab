import HalftoneSchemes
import HalftoneTensor
import Testing

/// The representable values around weights, on uniform grids and on tables.
@Suite struct CodeGridTests {
  /// The eight magnitudes of E2M1 and their negatives, as OCP's MX specification lists them.
  struct E2M1: NumberFormat {
    static let magnitudes: [Float] = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    var name: String { "e2m1" }
    var bits: Int { 4 }
    var values: CodeValues { .table(Self.magnitudes + Self.magnitudes.map { -$0 }) }
  }

  private func codes(_ tensor: Tensor) -> [Int8] {
    tensor.withBytes { Array($0.bindMemory(to: Int8.self)) }
  }

  @Test func neighboursOnATableScaledByTwoLevels() throws {
    // Scales 2·½ = 1 in the first two columns, 2·2 = 4 in the others.
    let grid = CodeGrid(
      shape: [2, 4], format: E2M1(),
      levels: [Tensor([2], shape: [1, 1]), Tensor([0.5, 2, 0.5, 2], shape: [2, 2])])
    let weights = Tensor([2.4, -5, 13, -0.5, 7, 0, 8, -30], shape: [2, 4])
    let found = grid.neighbours(of: weights)
    #expect(try grid.values(found.below).values == [2, -6, 12, -2, 6, 0, 8, -24])
    #expect(try grid.values(found.above).values == [3, -4, 16, 0, 6, 0, 8, -24])
    // Of the two zeros the first stands for both.
    #expect(codes(found.above)[3] == 0 && codes(found.below)[5] == 0)
  }

  @Test(arguments: [true, false], [2, 3, 4, 8])
  func neighboursOnScaledGrids(symmetric: Bool, bits: Int) throws {
    var generator = SeededGenerator(seed: 4)
    let weights = Tensor.normal(shape: [6, 16], using: &generator)
    for granularity in [Granularity.tensor, .channel, .group(8)] {
      let scheme = WeightScheme(
        format: try IntegerFormat(bits: bits), granularity: granularity, symmetric: symmetric)
      let table = try scheme.grids(for: weights)
      let grid = CodeGrid(table, format: scheme.format, shape: weights.shape)
      let found = grid.neighbours(of: weights)
      let (low, high) = try (grid.values(found.below).values, grid.values(found.above).values)
      let nearest = try table.quantize(weights, format: scheme.format).dequantized().values
      for (i, w) in weights.values.enumerated() {
        let cell = table.grid(row: i / 16, group: i % 16 * table.groups / 16)
        let points = stride(from: cell.low, through: cell.high, by: 1)
          .map { ($0 - cell.zero) * cell.scale }
        #expect(low[i] == points.last { $0 <= w } ?? points[0])
        #expect(high[i] == points.first { $0 >= w } ?? points[points.count - 1])
        #expect(nearest[i] == low[i] || nearest[i] == high[i])
      }
    }
  }

  /// One level more, of ones, takes the general way.
  @Test func uniformGridsAgreeWithTheDefinition() throws {
    var generator = SeededGenerator(seed: 5)
    let weights = Tensor.normal(shape: [4, 24], using: &generator)
    let scheme = WeightScheme(
      format: try IntegerFormat(bits: 3), granularity: .group(8), symmetric: false)
    let fast = CodeGrid(
      try scheme.grids(for: weights), format: scheme.format, shape: weights.shape)
    let slow = CodeGrid(
      shape: fast.shape, format: fast.format,
      levels: fast.levels + [Tensor(repeating: 1, shape: [1, 1])], zeroPoints: fast.zeroPoints)
    let (a, b) = (fast.neighbours(of: weights), slow.neighbours(of: weights))
    #expect(codes(a.below) == codes(b.below) && codes(a.above) == codes(b.above))
  }

  @Test func weightsOnTheGridHaveOneNeighbour() throws {
    let table = GridTable(
      scales: Tensor([0.25], shape: [1, 1]), zeros: Tensor([0], shape: [1, 1]), low: -4, high: 3)
    let grid = CodeGrid(table, format: try IntegerFormat(bits: 3), shape: [1, 4])
    let found = grid.neighbours(of: Tensor([-1, -0.25, 0, 0.75], shape: [1, 4]))
    #expect(codes(found.below) == [-4, -1, 0, 3])
    #expect(codes(found.below) == codes(found.above))
  }

  @Test func notANumberBecomesTheLowestCode() throws {
    let table = GridTable(
      scales: Tensor([1], shape: [1, 1]), zeros: Tensor([0], shape: [1, 1]), low: -4, high: 3)
    let grid = CodeGrid(table, format: try IntegerFormat(bits: 3), shape: [1, 3])
    let found = grid.neighbours(of: Tensor([.nan, .infinity, -.infinity], shape: [1, 3]))
    #expect(codes(found.below) == [-4, 3, -4])
    #expect(codes(found.above) == [-4, 3, -4])
  }
}
