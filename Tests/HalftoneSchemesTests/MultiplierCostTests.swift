import HalftoneSchemes
import Testing

/// Accumulators and gates against values computed apart, for dot products of 4,608 terms.
@Suite struct MultiplierCostTests {
  private func cost(_ word: String) throws -> MultiplierCost {
    let format = try #require(NumberFormats.named(word))
    return try #require(MultiplierCost(format, length: 4608))
  }

  /// E2M3 26, E3M2 32 and E3M3 34 are the widths of the paper's own units.
  @Test(
    arguments: [
      ("int3", 20), ("int4", 22), ("int5", 24), ("int6", 26), ("int8", 30), ("e2m1", 22),
      ("e3m0", 28), ("e2m3", 26), ("e3m2", 32), ("e3m3", 34), ("e2m5", 30), ("e3m4", 36),
      ("e4m3", 50), ("e5m2", 80),
    ]) func accumulators(_ word: String, bits: Int) throws
  {
    #expect(try cost(word).accumulatorBits == bits)
  }

  @Test(arguments: [("int3", 154), ("int4", 206), ("int5", 270), ("int6", 346), ("int8", 534)])
  func gatesOfIntegers(_ word: String, gates: Double) throws {
    #expect(try cost(word).gates == gates)
  }

  /// The ratio that the free coefficient was chosen for, and the order it leaves.
  @Test func floatsCostWhatWasPublished() throws {
    let int8 = try cost("int8")
    let e4m3 = try cost("e4m3")
    #expect(abs(e4m3.gates / int8.gates - 1.53) < 0.005)
    #expect(abs(e4m3.lookupTables / int8.lookupTables - 1.53) < 0.005)
    let order = try ["e2m5", "e3m4", "e4m3", "e5m2"].map { try cost($0).gates }
    #expect(order == order.sorted())
    #expect(MultiplierCost(NormalFloat()) == nil)
  }

  @Test func extremesAreNumbers() throws {
    for word in ["e1m1", "e7m0", "e1m6", "int2"] {
      let cost = try cost(word)
      #expect(cost.gates.isFinite && cost.gates > 0 && cost.accumulatorBits > 0)
    }
    let format = try IntegerFormat(bits: 8)
    #expect(MultiplierCost(format, length: 1)?.accumulatorBits == 17)
  }
}
