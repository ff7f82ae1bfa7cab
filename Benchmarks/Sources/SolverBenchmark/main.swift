import Foundation
import Halftone

// With --model and --text: every linear layer of a model by GPTQ and by QuantEase from the same
// moments (--bits, --samples, --length). With --input: solves one layer as Scripts/peers/gptq.py
// asks: `weight` [out, in] and `hessian` [in, in] of a safetensors file in, `codes` and `scales` of
// another out, seconds as JSON on stdout.

/// `--name value` from the command line.
func option(_ name: String) -> String? {
  CommandLine.arguments.firstIndex(of: "--\(name)").flatMap { i in
    i + 1 < CommandLine.arguments.count ? CommandLine.arguments[i + 1] : nil
  }
}

func number(_ name: String, _ fallback: Int) -> Int { option(name).flatMap { Int($0) } ?? fallback }

func flag(_ name: String) -> Bool { CommandLine.arguments.contains("--\(name)") }

func problem(_ path: String) throws -> LayerProblem {
  let file = try SafetensorsFile(path: path)
  let weights = try file.tensor("weight")
  let hessian = try file.tensor("hessian")
  let scheme = WeightScheme(
    format: try IntegerFormat(bits: number("bits", 4)),
    granularity: option("group").flatMap { Int($0) }.map { .group($0) } ?? .channel,
    symmetric: !flag("zero-points"), range: flag("min-mse") ? .minMSE : .minMax)
  return LayerProblem(
    name: "layer", weights: weights, scheme: scheme,
    hessian: SquareMatrix(size: hessian.rows, elements: hessian.values.map(Double.init)))
}

func solver() -> any LayerSolver {
  if option("method") == "quantease" {
    var method = QuantEase()
    method.sweeps = number("sweeps", method.sweeps)
    return method
  }
  var method = GPTQ()
  method.actOrder = flag("act-order")
  return method
}

func write(_ weight: QuantizedTensor, to path: String) throws {
  let writer = try SafetensorsWriter(
    path: path,
    tensors: [
      TensorDescription(name: "codes", type: .int8, shape: weight.codes.shape),
      TensorDescription(name: "scales", type: .float32, shape: weight.levels[0].shape),
    ])
  try writer.write("codes", weight.codes)
  try writer.write("scales", weight.levels[0])
  try writer.finish()
}

/// One line a layer, and how many layers QuantEase made no worse.
func compare(_ path: String, _ text: String) throws {
  let opened = try OpenedModel(path: path)
  let (samples, length) = (number("samples", 16), number("length", 128))
  let ids = try opened.tokenizer().encode(TextFile.read(text))
  let comparison = SolverComparison(
    model: opened.model, ids: Array(ids.prefix(samples * length)), length: length,
    bits: number("bits", 3))
  let results = try comparison()
  print(
    "layer: relative output errors of rtn, gptq, quantease, quantease with 1 % outliers; seconds")
  for result in results {
    let errors = result.errors.map { String(format: "%.5f", $0) }.joined(separator: " ")
    let seconds = result.seconds.dropFirst().map { String(format: "%.3f", $0) }
    print("\(result.layer): \(errors); \(seconds.joined(separator: " "))")
  }
  for (name, i) in [("quantease <= gptq", 2), ("outliers < quantease", 3)] {
    let ratios = results.map { $0.errors[i] / $0.errors[i - 1] }.sorted()
    let kept = ratios.count { i == 2 ? $0 <= 1 : $0 < 1 }
    print(
      "\(name): \(kept) of \(ratios.count) layers; ratio \(ratios[0]) to "
        + "\(ratios[ratios.count - 1]), median \(ratios[ratios.count / 2])")
  }
}

func solve(_ input: String) throws {
  let layer = try problem(input)
  let method = solver()
  var seconds: [Double] = []
  for repetition in 0..<max(1, number("repetitions", 1)) {
    let start = ContinuousClock.now
    let solution = try method.solve(layer)
    seconds.append((ContinuousClock.now - start) / .seconds(1))
    if repetition == 0, let output = option("output") { try write(solution.weight, to: output) }
  }
  print("{\"seconds\": [\(seconds.map { "\($0)" }.joined(separator: ", "))]}")
}

if let threads = option("threads").flatMap({ Int($0) }) { Parallelism.threads = threads }
if let model = option("model"), let text = option("text") {
  try compare(model, text)
} else if let input = option("input") {
  try solve(input)
} else {
  FileHandle.standardError.write(
    Data("give --input FILE.safetensors, or --model PATH and --text FILE\n".utf8))
  exit(64)
}
