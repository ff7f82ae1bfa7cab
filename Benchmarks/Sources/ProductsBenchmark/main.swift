import CHalftoneKernels
import Foundation

// Times products of packed weights on two threads, or as many as the first argument says: many rows
// against oneDNN's gemm_s8s8s32 (if the library is there; set OMP_NUM_THREADS to the same number) in
// alternation, one row against a loop that only reads. With `formats` as the second argument, the
// products of all number formats against that of 4-bit integers.

/// A matrix of arbitrary codes with f16 scales, and arbitrary inputs.
final class Work: PanelWork, @unchecked Sendable {
  static let panelsPerCall = 4

  let outputs: Int
  let byteCount: Int
  private let set = halftone_products_best().pointee
  private var matrix = halftone_matrix()
  private var inputs = halftone_inputs()
  private let memory = FilledMemory()
  private let out: UnsafeMutablePointer<Float>

  init(inputs rows: Int, outputs: Int, columns: Int, bits: Int, group: Int) {
    self.outputs = outputs
    let groups = group >= columns ? 1 : columns / group
    byteCount = outputs * columns * bits / 8 + outputs * groups * 2
    matrix.rows = outputs
    matrix.columns = columns
    matrix.bits = Int32(bits)
    matrix.zero = 1 << Int32(bits - 1)
    matrix.group = group
    matrix.scale_type = halftone_scale_f16
    matrix.scales = UnsafeRawPointer(memory.filled(outputs * groups) { UInt16(0x2000 + $0 % 512) })
    matrix.codes = UnsafePointer(
      memory.filled(outputs * columns * bits / 8) {
        UInt8(truncatingIfNeeded: $0 &* 0x9E37_79B1 >> 11)
      })
    let codes = memory.filled(rows * columns) { Int8(truncatingIfNeeded: $0 &* 40503 >> 9) }
    let sums = memory.filled(rows * columns / 16) { _ in Int32(0) }
    set.sum_codes(codes, rows * columns, sums)
    inputs.rows = rows
    inputs.columns = columns
    inputs.stride = columns
    inputs.group = columns
    inputs.codes = UnsafePointer(codes)
    inputs.scales = UnsafePointer(memory.filled(rows) { _ in Float(0.01) })
    inputs.sums = UnsafePointer(sums)
    out = memory.filled(rows * outputs) { _ in Float(0) }
  }

  func call(_ first: Int, _ count: Int) {
    set.product(&inputs, &matrix, first, count, out, outputs)
  }
}

/// Half a gigabyte that is only read.
final class Reading: @unchecked Sendable {
  static let parts = 32
  let byteCount = 512 << 20
  private let words: UnsafeMutablePointer<SIMD8<UInt64>>
  private let sums: UnsafeMutablePointer<UInt64>

  init() {
    words = .allocate(capacity: byteCount / 64)
    words.initialize(repeating: .one, count: byteCount / 64)
    sums = .allocate(capacity: Self.parts)
    sums.initialize(repeating: 0, count: Self.parts)
  }

  deinit {
    words.deallocate()
    sums.deallocate()
  }

  func run(threads: Int) {
    halftone_parallel(
      Self.parts, Int32(threads),
      { context, index in
        guard let context else { return }
        Unmanaged<Reading>.fromOpaque(context).takeUnretainedValue().read(index)
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  private func read(_ part: Int) {
    let count = byteCount / 64 / Self.parts
    var (a, b) = (SIMD8<UInt64>.zero, SIMD8<UInt64>.zero)
    for i in stride(from: part * count, to: (part + 1) * count, by: 2) {
      a &+= words[i]
      b &+= words[i + 1]
    }
    sums[part] = (a &+ b).wrappedSum()
  }
}

/// oneDNN's product of signed bytes, where the library can be loaded.
struct OneDNN {
  typealias Product =
    @convention(c) (
      CChar, CChar, CChar, Int, Int, Int, Float, UnsafePointer<Int8>, Int, Int8,
      UnsafePointer<Int8>, Int, Int8, Float, UnsafeMutablePointer<Int32>, Int, UnsafePointer<Int32>
    ) -> Int32
  let product: Product

  init?() {
    guard let library = dlopen("libdnnl.so", RTLD_NOW) ?? dlopen("libdnnl.so.2", RTLD_NOW),
      let symbol = dlsym(library, "dnnl_gemm_s8s8s32")
    else { return nil }
    product = unsafeBitCast(symbol, to: Product.self)
  }

  /// a [m, k] times the transpose of b [n, k].
  func run(_ a: [Int8], _ b: [Int8], _ c: inout [Int32], m: Int, n: Int, k: Int) {
    let (plain, transposed, fixed) = (CChar(78), CChar(84), CChar(70))
    _ = product(plain, transposed, fixed, m, n, k, 1, a, k, 0, b, k, 0, 0, &c, n, [0])
  }
}

func seconds(_ body: () -> Void) -> Double {
  let start = ContinuousClock.now
  body()
  return (ContinuousClock.now - start) / .seconds(1)
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

func rounded(_ value: Double) -> String { String(format: "%.1f", value) }

let threads = CommandLine.arguments.dropFirst().first.flatMap(Int.init) ?? 2
let repetitions = 21

if CommandLine.arguments.dropFirst(2).first == "formats" {
  timeFormats(threads: threads, repetitions: repetitions)
  exit(0)
}

if let oneDNN = OneDNN() {
  for (m, n, k) in [(512, 2048, 2048), (512, 5632, 2048), (512, 2048, 5632)] {
    let a = [Int8](repeating: 3, count: m * k)
    let b = [Int8](repeating: 5, count: n * k)
    var c = [Int32](repeating: 0, count: m * n)
    let operations = 2e-9 * Double(m * n * k)
    for (bits, group) in [(8, k), (4, k), (4, 32), (3, 32)] {
      let work = Work(inputs: m, outputs: n, columns: k, bits: bits, group: group)
      let pairs = (0..<repetitions).map { _ in
        (
          theirs: seconds { oneDNN.run(a, b, &c, m: m, n: n, k: k) },
          ours: seconds { work.run(threads: threads) }
        )
      }
      let ratio = median(pairs.map { $0.theirs / $0.ours })
      print(
        "\(m)x\(n)x\(k), \(bits) bits, \(group) columns a scale:",
        "\(rounded(operations / median(pairs.map(\.ours)))) GOP/s, oneDNN",
        "\(rounded(operations / median(pairs.map(\.theirs)))), ratio \(rounded(100 * ratio)) %")
    }
  }
}

let reading = Reading()
for (bits, rows) in [(4, 1), (3, 1), (8, 1), (2, 1), (4, 2), (4, 4)] {
  let work = Work(inputs: rows, outputs: 32768, columns: 4096, bits: bits, group: 32)
  let pairs = (0..<repetitions).map { _ in
    (
      reading: Double(reading.byteCount) / seconds { reading.run(threads: threads) },
      ours: Double(work.byteCount) / seconds { work.run(threads: threads) }
    )
  }
  print(
    "\(rows) rows, \(bits) bits, 32 columns a scale:",
    "\(rounded(median(pairs.map(\.ours)) / 1e9)) GB/s, reading",
    "\(rounded(median(pairs.map(\.reading)) / 1e9)),",
    "ratio \(rounded(100 * median(pairs.map { $0.ours / $0.reading }))) %")
}
