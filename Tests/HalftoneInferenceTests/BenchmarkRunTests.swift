import HalftoneInference
import HalftoneTestSupport
import Testing

@Suite struct BenchmarkRunTests {
  static func engine() throws -> Engine { try Engine(GeneratorTests.model("stories260k")) }

  @Test func `every repetition after the warm-up is measured and reported`() throws {
    let options = BenchmarkOptions(prompt: 12, tokens: 3, repetitions: 2)
    var numbers: [Int] = []
    let result = try BenchmarkRun(Self.engine(), options).measure { numbers.append($0) }
    #expect(numbers == [1, 2])
    #expect(result.repetitions.count == 2)
    for repetition in result.repetitions {
      #expect(repetition.prefillTokensPerSecond > 0 && repetition.prefillTokensPerSecond.isFinite)
      #expect(repetition.decodeTokensPerSecond > 0 && repetition.decodeTokensPerSecond.isFinite)
    }
  }

  @Test func `figures are medians of the repetitions, each of its own`() {
    func result(_ rates: [(Double, Double)]) -> BenchmarkResult {
      BenchmarkResult(
        repetitions: rates.map {
          BenchmarkRepetition(prefillTokensPerSecond: $0.0, decodeTokensPerSecond: $0.1)
        })
    }
    let odd = result([(30, 1), (10, 3), (20, 2)])
    #expect(odd.prefillTokensPerSecond == 20)
    #expect(odd.decodeTokensPerSecond == 2)
    #expect(result([(1, 8), (2, 4)]).prefillTokensPerSecond == 1.5)
    #expect(result([(1, 8), (2, 4)]).decodeTokensPerSecond == 6)
    #expect(result([]).decodeTokensPerSecond == 0)
  }

  @Test(arguments: [(0, 1, 1), (1, 0, 1), (1, 1, 0), (513, 1, 1), (1, 513, 1)])
  func `what does not fit is refused`(_ prompt: Int, _ tokens: Int, _ repetitions: Int) throws {
    let engine = try Self.engine()
    #expect(throws: GenerationError.self) {
      try BenchmarkRun(
        engine, BenchmarkOptions(prompt: prompt, tokens: tokens, repetitions: repetitions))
    }
  }

  /// Wide bounds: from a slow board to the caches of a large server.
  @Test func `memory is read at a speed that exists`() throws {
    let rate = try MemoryReading.bytesPerSecond(rounds: 1)
    #expect((1e8...1e13).contains(rate))
  }
}
