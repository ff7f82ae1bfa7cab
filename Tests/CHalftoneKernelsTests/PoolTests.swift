// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Foundation
import Synchronization
import Testing

/// Calls the body for every index through the pool.
func parallel(_ count: Int, threads: Int32, _ body: @escaping (Int) -> Void) {
  withoutActuallyEscaping(body) { body in
    var holder = body
    withUnsafeMutablePointer(to: &holder) { pointer in
      halftone_parallel(
        count, threads,
        { context, index in
          context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index)
        }, pointer)
    }
  }
}

/// How often each index was given out.
func visits(_ count: Int, threads: Int32) -> [Int32] {
  var counts = [Int32](repeating: 0, count: count)
  counts.withUnsafeMutableBufferPointer { buffer in
    nonisolated(unsafe) let slots = buffer
    parallel(count, threads: threads) { slots[$0] += 1 }
  }
  return counts
}

// One call at a time uses the pool, so a test that expects a second thread must be alone.
@Suite("Thread pool", .serialized)
struct PoolTests {
  @Test("every index is given out once", arguments: [-1, 0, 1, 2, 3, 8, 300] as [Int32])
  func eachIndexOnce(threads: Int32) {
    for count in [0, 1, 2, 3, 7, 64, 1000] {
      #expect(visits(count, threads: threads) == [Int32](repeating: 1, count: count))
    }
  }

  @Test("ten thousand calls")
  func manyCalls() {
    let total = Atomic<Int>(0)
    for call in 0..<10_000 {
      parallel(4, threads: 2) { index in total.add(call * index, ordering: .relaxed) }
    }
    #expect(total.load(ordering: .relaxed) == 6 * 9_999 * 10_000 / 2)
  }

  @Test("a second thread takes part, asleep or awake", arguments: [0, 0.01])
  func twoThreadsMeet(pause: Double) {
    // Another suite may hold the pool at the moment of a call, which then runs alone: try again.
    let meets = (0..<200).contains { _ in
      Thread.sleep(forTimeInterval: pause)
      let arrived = Atomic<Int>(0)
      let deadline = Date(timeIntervalSinceNow: 0.2)
      parallel(2, threads: 2) { _ in
        arrived.add(1, ordering: .relaxed)
        while arrived.load(ordering: .relaxed) < 2, Date() < deadline {}
      }
      return Date() < deadline
    }
    #expect(meets)
  }

  @Test("a nested call runs on its caller's thread")
  func nestedCalls() {
    let calls = Atomic<Int>(0)
    let strays = Atomic<Int>(0)
    parallel(8, threads: 2) { _ in
      let outer = pthread_self()
      parallel(50, threads: 2) { _ in
        calls.add(1, ordering: .relaxed)
        if pthread_equal(outer, pthread_self()) == 0 { strays.add(1, ordering: .relaxed) }
      }
    }
    #expect(calls.load(ordering: .relaxed) == 400)
    #expect(strays.load(ordering: .relaxed) == 0)
  }

  @Test("several threads may call at once")
  func concurrentCallers() {
    let total = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: 4) { _ in
      for _ in 0..<500 {
        parallel(10, threads: 3) { total.add($0, ordering: .relaxed) }
      }
    }
    #expect(total.load(ordering: .relaxed) == 4 * 500 * 45)
  }

  @Test("what a body writes is seen by the caller")
  func writesAreVisible() {
    for call in 0..<200 {
      var squares = [Int](repeating: 0, count: 33)
      squares.withUnsafeMutableBufferPointer { buffer in
        nonisolated(unsafe) let slots = buffer
        parallel(33, threads: 2) { slots[$0] = $0 * $0 + call }
      }
      #expect(squares == (0..<33).map { $0 * $0 + call })
    }
  }
}
