import Foundation
import Halftone

// Times iterations of a trained rounding (`--method`, flexround unless said) on one block of random
// weights in the shape of each shipped model, with batches of 4 × 256 tokens: with FlexRound the work of
// Scripts/benchmark-pytorch.py. `--beside flexround,adaround` times those in turns with it;
// `--precision bfloat16` rounds what is multiplied.

struct BlockShape {
  let name: String
  let hidden: Int
  let heads: Int
  let keyHeads: Int
  let headWidth: Int
  let intermediate: Int

  static let all = [
    BlockShape(
      name: "stories260k", hidden: 64, heads: 8, keyHeads: 4, headWidth: 8, intermediate: 172),
    BlockShape(
      name: "books-7m", hidden: 256, heads: 8, keyHeads: 4, headWidth: 32, intermediate: 768),
  ]

  func block(using generator: inout SeededGenerator) -> LlamaBlock {
    func linear(_ name: String, _ rows: Int, _ columns: Int) -> Linear {
      let weight = Tensor.normal(shape: [rows, columns], using: &generator) * 0.05
      return Linear(name: name, weight: .dense(weight))
    }
    let norm = RMSNorm(weight: Tensor(repeating: 1, shape: [hidden]), epsilon: 1e-5)
    let attention = Attention(
      index: 0, heads: heads, keyHeads: keyHeads, window: nil,
      queries: linear("q", heads * headWidth, hidden),
      keys: linear("k", keyHeads * headWidth, hidden),
      values: linear("v", keyHeads * headWidth, hidden),
      output: linear("o", hidden, heads * headWidth))
    let feedForward = GatedFeedForward(
      gate: linear("gate", intermediate, hidden), up: linear("up", intermediate, hidden),
      down: linear("down", hidden, intermediate))
    return LlamaBlock(
      attentionNorm: norm, attention: attention, feedForwardNorm: norm, feedForward: feedForward)
  }

  /// Seconds of each iteration.
  func measure(
    _ method: some ReconstructionMethod, iterations: Int, samples: Int = 32, length: Int = 256
  ) throws -> [Double] {
    var generator = SeededGenerator(seed: 1)
    let block = block(using: &generator)
    let stream = ActivationStream(
      activations: .normal(shape: [samples * length, hidden], using: &generator), length: length)
    let rotary = RotaryEmbedding(headWidth: headWidth, theta: 10000, scaling: .none)
    let (cosine, sine) = rotary.angles(0..<length)
    let scheme = LayerScheme(weights: WeightScheme(format: try IntegerFormat(bits: 3)))
    var marks: [ContinuousClock.Instant] = []
    var problem = BlockProblem(
      index: 0, block: block,
      schemes: Dictionary(uniqueKeysWithValues: block.linears.map { ($0.name, scheme) }),
      original: stream, quantized: stream, targets: stream, training: 0..<samples,
      heldOut: 0..<1,
      makeContext: { ForwardContext(batch: $0, length: length, cosine: cosine, sine: sine) },
      seed: 1, report: { _ in marks.append(.now) })
    problem.precision = precision
    var settings = try method.reconstruction(of: problem)
    (settings.iterations, settings.batch) = (iterations, 4)
    _ = try settings.train(problem, with: method)
    return zip(marks.dropFirst(), marks).map { ($0 - $1) / .seconds(1) }
  }
}

/// Processor seconds of all threads so far, which other programs' load disturbs least.
func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// `--name value` from the command line.
func option(_ name: String) -> String? {
  CommandLine.arguments.firstIndex(of: "--\(name)").flatMap { i in
    i + 1 < CommandLine.arguments.count ? CommandLine.arguments[i + 1] : nil
  }
}

/// The trained rounding of that name with its defaults.
func method(_ name: String) -> any ReconstructionMethod {
  let methods = MethodCatalog.all.compactMap { $0.init() as? any ReconstructionMethod }
  guard let method = methods.first(where: { type(of: $0).name == name }) else {
    fatalError("--method is one of \(methods.map { type(of: $0).name })")
  }
  return method
}

/// The median of an iteration's milliseconds of `method`, and of the others beside it, in turns.
func compare(_ shape: BlockShape, _ names: [String], iterations: Int) throws {
  var medians = names.map { _ in [Double]() }
  for _ in 0..<5 {
    for (i, name) in names.enumerated() {
      let seconds = try shape.measure(method(name), iterations: iterations + 5).dropFirst(5)
        .sorted()
      medians[i].append(seconds[seconds.count / 2] * 1000)
    }
  }
  for (name, values) in zip(names, medians) {
    let ratios = zip(values, medians[0]).map { $0 / $1 }.sorted()
    print(
      "\(shape.name) \(name): \(String(format: "%.2f", values.sorted()[2])) ms an iteration, "
        + "\(String(format: "%.2f", ratios[2])) of \(names[0])'s")
  }
}

func trainingPrecision() -> ProductPrecision {
  guard let precision = ProductPrecision(rawValue: option("precision") ?? "float32") else {
    fatalError("--precision is one of \(ProductPrecision.allCases.map(\.rawValue))")
  }
  return precision
}

let name = option("method") ?? "flexround"
let precision = trainingPrecision()
let iterations = option("iterations").flatMap { Int($0) } ?? 100
if let threads = option("threads").flatMap({ Int($0) }) { Parallelism.threads = threads }
let json = CommandLine.arguments.contains("--json")
if !json {
  print(
    "\(BLASLibrary.description)\nkernels \(Kernels.instructionSet), threads \(Parallelism.threads)")
}
for shape in BlockShape.all where (option("shape") ?? shape.name) == shape.name {
  if let beside = option("beside") {
    try compare(
      shape, beside.split(separator: ",").map(String.init) + [name], iterations: iterations)
    continue
  }
  let start = processorSeconds()
  let seconds = try shape.measure(method(name), iterations: iterations + 10).dropFirst(10).sorted()
  let processor = (processorSeconds() - start) / Double(iterations + 10) * 1000
  let median = seconds[seconds.count / 2] * 1000
  if json {
    print("{\"name\": \"\(shape.name)\", \"milliseconds_per_iteration\": \(median)}")
  } else {
    print(
      "\(shape.name): \(String(format: "%.2f", median)) ms an iteration, the median of "
        + "\(seconds.count); \(String(format: "%.2f", processor)) ms of processor time with set-up")
  }
}
