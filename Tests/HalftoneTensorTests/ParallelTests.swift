import HalftoneTensor
import HalftoneTestSupport
import Synchronization
import Testing

/// Parallel loops: every index once, in pieces that do not depend on the threads.
extension ThreadTests {
  @Test(arguments: [1, 2, 3, 8], [0, 1, 2, 3, 17, 1000])
  func eachIndexOnce(threads: Int, count: Int) {
    ThreadTests.withThreads(threads) {
      for _ in 0..<20 {
        let seen = (0..<count).map { _ in Counter() }
        parallelFor(count) { seen[$0].add() }
        #expect(seen.allSatisfy { $0.value == 1 })
      }
    }
  }

  @Test(arguments: [1, 2, 3]) func loopsInsideLoops(threads: Int) {
    ThreadTests.withThreads(threads) {
      let seen = (0..<20 * 30 * 4).map { _ in Counter() }
      parallelFor(20) { i in
        parallelFor(30) { j in
          parallelRanges(4, grain: 3) { $0.forEach { seen[(i * 30 + j) * 4 + $0].add() } }
        }
      }
      #expect(seen.allSatisfy { $0.value == 1 })
    }
  }

  @Test(arguments: [(0, 5), (1, 5), (5, 5), (6, 5), (1000, 7), (10, 1)])
  func rangesDependOnCountAndGrain(count: Int, grain: Int) {
    let expected = stride(from: 0, to: count, by: grain).map { $0..<min($0 + grain, count) }
    for threads in [1, 2, 3] {
      let ranges = ThreadTests.withThreads(threads) {
        let found = Mutex<[Range<Int>]>([])
        parallelRanges(count, grain: grain) { range in found.withLock { $0.append(range) } }
        return found.withLock { $0 }
      }
      #expect(ranges.sorted { $0.lowerBound < $1.lowerBound } == expected)
    }
  }

  @Test func callsFromManyThreadsAtOnce() async {
    let sums = await withTaskGroup(of: [Double].self) { group in
      for task in 0..<6 {
        group.addTask {
          (0..<50).map { round in
            let x = Tensor(repeating: Float(task + round), shape: [40_000])
            return Double(x.sum().scalar)
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    let expected = (0..<6).map { task in (0..<50).map { Double(task + $0) * 40_000 } }
    #expect(Set(sums) == Set(expected))
  }

  @Test func threadsAreAtLeastOne() async {
    #expect(Parallelism.threads >= 1)
    await #expect(processExitsWith: .failure) { Parallelism.threads = 0 }
  }

  /// A layer of a network, its loss and its gradients, twice over.
  @Test func aChainOfOperationsDoesNotDependOnThreads() {
    let (tokens, width, hidden) = (160, 64, 176)
    let x = normal([tokens, width], 1)
    let weights = [
      normal([width], 2), normal([width, width], 3) * 0.1, normal([hidden, width], 4) * 0.1,
      normal([hidden, width], 5) * 0.1, normal([300, hidden], 6) * 0.1,
    ].map { $0.tracked() }
    let grid = GridTable(
      scales: Tensor(repeating: 0.05, shape: [300, 4]),
      zeros: Tensor(repeating: 1, shape: [300, 4]),
      low: -8, high: 7)
    let targets = (0..<tokens).map { $0 * 17 % 300 }
    ThreadTests.expectSameBits {
      let h = x.rmsNorm(weights[0], epsilon: 1e-5).linear(weights[1])
      let shape = AttentionShape(
        batch: 1, heads: 4, keyHeads: 4, queryLength: tokens, keyLength: tokens)
      let a = Tensor.attention(queries: h, keys: h, values: h, shape) + x
      let m = Tensor.siluMultiply(gate: a.linear(weights[2]), up: a.linear(weights[3]))
      let rounded = weights[4].detached.adaRounded(grid, v: weights[4])
      let logits = m.fakeQuantizedTokens(bits: 8, symmetric: false).linear(rounded + weights[4])
      let loss =
        logits.crossEntropy(targets: targets) + logits.klDivergence(from: logits.detached * 0.5)
      return [logits, loss] + loss.gradients(of: weights)
    }
  }
}

private final class Counter: Sendable {
  private let count = Atomic<Int>(0)
  var value: Int { count.load(ordering: .relaxed) }
  func add() { count.wrappingAdd(1, ordering: .relaxed) }
}
