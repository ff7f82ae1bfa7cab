import CHalftoneKernels
import COneDNN
import COpenBLAS
import Foundation
import Halftone

// Times attention over a cache and bfloat16 products on `threads` threads (the first argument, 2 by
// default), the products beside OpenBLAS and oneDNN. Each figure is the median of alternating runs;
// oneDNN takes its threads from OMP_NUM_THREADS.

let threads = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 2
let repetitions = 15

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

/// Seconds that `body` takes.
func seconds(_ body: () -> Void) -> Double {
  let time = ContinuousClock().measure(body)
  return Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18
}

/// `body(i)` for every `i` below `count`, on the pool's threads.
func inParallel(_ count: Int, _ body: (Int) -> Void) {
  withoutActuallyEscaping(body) { body in
    var call = body
    withUnsafeMutablePointer(to: &call) {
      halftone_parallel(
        count, Int32(threads),
        { context, index in
          context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index)
        }, $0)
    }
  }
}

func random(_ count: Int) -> [Float] {
  var generator = SeededGenerator(seed: 1)
  return Tensor.normal(shape: [count], using: &generator).values
}

func padded(_ text: String, _ width: Int) -> String {
  text.padding(toLength: width, withPad: " ", startingAt: 0)
}

AttentionShape.report()
ProductShape.report()
