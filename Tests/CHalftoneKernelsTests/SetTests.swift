// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Testing

@Suite("Instruction sets")
struct SetTests {
  @Test("every kernel has a comparison")
  func everyKernelIsCompared() {
    let pointers = MemoryLayout<halftone_kernels>.size / MemoryLayout<UnsafeRawPointer>.size
    let names = allComparisons().map(\.name)
    #expect(names.count == pointers - 1)
    #expect(Set(names).count == names.count)
  }

  @Test("a faster set gives the generic set's bits", arguments: fasterSets)
  func bitsAgree(name: String) throws {
    let reference = try generic()
    let kernels = try #require(halftone_kernels_named(name)).pointee
    for comparison in allComparisons() {
      for n in lengths {
        var (random, same) = (Generator(seed: UInt64(n)), Generator(seed: UInt64(n)))
        let expected = comparison.run(reference, n, &random)
        let found = comparison.run(kernels, n, &same)
        #expect(found == expected, "\(comparison.name), n = \(n)")
      }
    }
  }

  @Test("an element's bits do not depend on its place")
  func placeDoesNotMatter() throws {
    let kernels = try generic()
    var random = Generator(seed: 5)
    let a = random.uniform(16)
    let whole = output(16) { kernels.sigmoid(a, $0, 16) }
    for n in 1..<16 {
      #expect(output(n) { kernels.sigmoid(a, $0, n) } == Array(whole.prefix(n)))
    }
  }

  @Test("sets are found by name, and the best one is among them")
  func dispatch() throws {
    #expect(halftone_kernels_named("sse9") == nil)
    let best = String(cString: try #require(halftone_kernels_best()).pointee.name)
    #expect((fasterSets + ["generic"]).contains(best))
    for name in fasterSets {
      #expect(String(cString: try #require(halftone_kernels_named(name)).pointee.name) == name)
    }
  }
}
