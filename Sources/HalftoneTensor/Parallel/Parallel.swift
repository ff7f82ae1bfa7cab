import CHalftoneKernels
import Foundation
import Synchronization

/// How many threads the parallel loops use; results never depend on it.
public enum Parallelism {
  private static let count = Atomic<Int>(0)
  /// Asked once: the system answers from files, which takes longer than many a loop.
  private static let processors = ProcessInfo.processInfo.activeProcessorCount

  /// The threads used by parallel loops; the machine's processors unless set.
  public static var threads: Int {
    get {
      let set = count.load(ordering: .relaxed)
      return set > 0 ? set : processors
    }
    set {
      precondition(newValue > 0)
      count.store(newValue, ordering: .relaxed)
    }
  }
}

/// Calls `body` once for each index below `count`, on several threads at once.
///
/// The body writes only what belongs to its index, so the result does not depend on the number of
/// threads. Loops inside a body run on its own thread.
public func parallelFor(_ count: Int, _ body: (Int) -> Void) {
  guard count > 0 else { return }
  guard count > 1 else { return body(0) }
  withoutActuallyEscaping(body) { body in
    withUnsafePointer(to: body) { pointer in
      halftone_parallel(
        count, Int32(Parallelism.threads),
        { context, index in
          context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index)
        }, UnsafeMutableRawPointer(mutating: pointer))
    }
  }
}

/// Calls `body` with consecutive ranges of `grain` indices that cover 0..<count.
///
/// The ranges depend on `count` and `grain` alone, so sums per range added in order are the same for
/// any number of threads.
public func parallelRanges(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
  precondition(grain > 0)
  parallelFor((count + grain - 1) / grain) { index in
    body(index * grain..<min(count, (index + 1) * grain))
  }
}
