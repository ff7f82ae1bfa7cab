import Foundation
import Halftone

// Times how weights become codes and packed bytes on one thread, beside a plain copy of the same bytes:
// gigabytes of the input a second of processor time, medians of --turns (9) turns in alternation, for a
// matrix of --rows (4096) × --columns (4096). --type bf16 begins with bfloat16; --range min-mse searches.

func option(_ name: String) -> String? {
  CommandLine.arguments.firstIndex(of: "--\(name)").flatMap { i in
    i + 1 < CommandLine.arguments.count ? CommandLine.arguments[i + 1] : nil
  }
}

func number(_ name: String, _ fallback: Int) -> Int { option(name).flatMap { Int($0) } ?? fallback }

/// What is measured: a word for the table and the scheme.
func subjects(_ range: RangeRule) -> [(name: String, scheme: WeightScheme)] {
  var result: [(String, WeightScheme)] = []
  func add(_ word: String, _ granularity: Granularity, _ scales: ScaleFormat = .float) {
    guard let format = NumberFormats.named(word) else { preconditionFailure(word) }
    result.append(
      (
        "\(format.name) \(granularity)\(scales == .float ? "" : " \(scales.rawValue)")",
        WeightScheme(format: format, granularity: granularity, range: range, scales: scales)
      ))
  }
  for bits in [2, 3, 4, 8] {
    for granularity in [Granularity.group(64), .channel] { add("int\(bits)", granularity) }
  }
  for word in ["e4m3fn", "e5m2", "e3m2", "e2m3", "e2m1", "nf4"] {
    for granularity in [Granularity.group(64), .channel] { add(word, granularity) }
  }
  for word in ["mxfp4", "mxfp8", "nvfp4"] {
    guard let block = NumberFormats.blocks[word] else { preconditionFailure(word) }
    add(block.format, .group(block.group), block.scales)
  }
  return result
}

/// Seconds of this thread's processor time that `body` takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
  func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
  let start = now()
  try body()
  return now() - start
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

/// A matrix to be quantized, and memory for what becomes of it.
struct Work {
  let rows = number("rows", 4096)
  let columns = number("columns", 4096)
  let stored: Tensor
  private let copy: UnsafeMutableRawBufferPointer
  private let packed: UnsafeMutableRawBufferPointer

  init(_ type: ElementType) {
    var generator = SeededGenerator(seed: 7)
    let count = rows * columns
    let weights = Tensor(shape: [rows, columns]) { out in
      for i in 0..<count { out[i] = generator.uniform() - generator.uniform() }
    }
    stored = weights.converted(to: type)
    copy = .allocate(byteCount: count * 4, alignment: 64)
    packed = .allocate(byteCount: count, alignment: 64)
    copy.initializeMemory(as: UInt8.self, repeating: 0)
    packed.initializeMemory(as: UInt8.self, repeating: 0)
  }

  var byteCount: Int { rows * columns * stored.elementType.byteCount }

  func copySeconds() -> Double {
    stored.withBytes { bytes in seconds { copy.copyMemory(from: bytes) } }
  }

  /// Of the scales, of the codes, of packing, and of the pass that `quantize` makes: floats, scales, codes and
  /// errors of a piece at a time.
  func turn(_ scheme: WeightScheme) throws -> [Double] {
    let pass = try seconds { _ = try scheme.rounded(stored) }
    let weights = stored.float()
    var grids: GridTable?
    let scales = try seconds { grids = try scheme.grids(for: weights) }
    var codes: Tensor?
    let encoding = try seconds {
      codes = try grids?.quantize(weights, format: scheme.format).codes
    }
    let low = if case .uniform(let low, _) = scheme.format.values { low } else { 0 }
    let bits = scheme.format.bits
    let packing = seconds {
      codes?.withBytes { bytes in
        let codes = bytes.bindMemory(to: Int8.self)
        for row in 0..<rows {
          Kernels.pack(
            UnsafeBufferPointer(rebasing: codes[row * columns..<(row + 1) * columns]), low: low,
            bits: bits,
            UnsafeMutableRawBufferPointer(
              rebasing: packed[row * columns * bits / 8..<(row + 1) * columns * bits / 8]))
        }
      }
    }
    return [scales, encoding, packing, pass]
  }
}

func text(_ value: Double) -> String {
  let digits = String(format: "%.2f", value)
  return String(repeating: " ", count: max(0, 8 - digits.count)) + digits
}

Parallelism.threads = 1
let work = Work(option("type") == "bf16" ? .bfloat16 : .float32)
let turns = number("turns", 9)
let range: RangeRule = option("range") == "min-mse" ? .minMSE : .minMax
let gigabytes = Double(work.byteCount) * 1e-9
print(
  "\(work.rows) × \(work.columns) \(work.stored.elementType.rawValue), \(range.rawValue), "
    + "\(Kernels.instructionSet); GB of input a second, one thread")
print(
  "format                       copy   scales    codes  packing  codes+packing  /copy"
    + "  pass+packing  /copy")
for (name, scheme) in subjects(range) where option("only").map({ name.hasPrefix($0) }) ?? true {
  var copies: [Double] = []
  var parts: [[Double]] = []
  for _ in 0..<turns {
    copies.append(work.copySeconds())
    parts.append(try work.turn(scheme))
  }
  func rate(_ time: ([Double]) -> Double) -> Double { gigabytes / median(parts.map(time)) }
  let copy = gigabytes / median(copies)
  let (codes, pass) = (rate { $0[1] + $0[2] }, rate { $0[2] + $0[3] })
  let columns = [
    copy, rate { $0[0] }, rate { $0[1] }, rate { $0[2] }, codes, codes / copy, pass, pass / copy,
  ]
  let label = name + String(repeating: " ", count: max(0, 24 - name.count))
  print(label + columns.map(text).joined(separator: " "))
}
