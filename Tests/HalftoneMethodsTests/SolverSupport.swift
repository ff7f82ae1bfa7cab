import HalftoneLayers
import HalftoneMethods
import HalftonePipeline
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Synchronization

extension CorrelatedLayer {
  func layerProblem(_ scheme: WeightScheme) -> LayerProblem {
    LayerProblem(
      name: "layer", weights: weights, scheme: scheme, hessian: .moments(of: inputs, inputs))
  }
}

extension LayerProblem {
  /// The layer's output error, up to what no choice of codes changes.
  func error(of rounded: Tensor) -> Double { rowErrors(of: rounded).reduce(0, +) }

  var withoutCrossMoments: LayerProblem {
    LayerProblem(name: name, weights: weights, scheme: scheme, hessian: hessian)
  }
}

extension SquareMatrix {
  /// (2/N)·Σ a·bᵀ, element by element.
  static func moments(of a: Tensor, _ b: Tensor) -> SquareMatrix {
    var sum = SquareMatrix(zeros: a.columns)
    let (x, y, n) = (a.values, b.values, a.columns)
    for row in 0..<a.rows {
      for i in 0..<n {
        for j in 0..<n { sum[i, j] += 2 * Double(x[row * n + i]) * Double(y[row * n + j]) }
      }
    }
    for i in sum.elements.indices { sum.elements[i] /= Double(a.rows) }
    return sum
  }
}

/// A layer whose inputs earlier layers have changed.
struct DriftedLayer {
  let layer: CorrelatedLayer
  /// What the quantized network hands on instead of `layer.inputs`.
  let inputs: Tensor

  init(seed: UInt64) {
    layer = CorrelatedLayer(seed: seed)
    var generator = SeededGenerator(seed: seed + 100)
    inputs = layer.inputs * 0.9 + Tensor.normal(shape: layer.inputs.shape, using: &generator) * 0.1
  }

  func problem(_ scheme: WeightScheme) -> LayerProblem {
    LayerProblem(
      name: "layer", weights: layer.weights, scheme: scheme,
      hessian: .moments(of: inputs, inputs), crossMoments: .moments(of: layer.inputs, inputs))
  }

  /// ‖W·X₀ − Ŵ·X‖²·2/N.
  func outputError(of weights: Tensor) -> Double {
    let difference = layer.inputs.linear(layer.weights) - inputs.linear(weights)
    return difference.values.reduce(0) { $0 + Double($1) * Double($1) } * 2 / Double(inputs.rows)
  }
}

/// Inputs whose second moments cannot be factored.
enum DegenerateInputs: CaseIterable {
  case zero, rankOne, fewSamples

  func problem(_ scheme: WeightScheme) -> LayerProblem {
    let layer = CorrelatedLayer(seed: 9)
    let inputs =
      switch self {
      case .zero: layer.inputs * 0
      case .rankOne: layer.inputs.view(0..<1)
      case .fewSamples: layer.inputs.view(0..<10)
      }
    return LayerProblem(
      name: "layer", weights: layer.weights, scheme: scheme, hessian: .moments(of: inputs, inputs))
  }
}

/// Runs GPTQ and QuantEase on the same problems of a model's layers.
final class SolverComparison: Sendable {
  struct Result { var name: String, gptq: Double, quantEase: Double, outliers: Double }

  final class Results: Sendable {
    private let list = Mutex<[Result]>([])
    var values: [Result] { list.withLock { $0 } }
    func append(_ result: Result) { list.withLock { $0.append(result) } }
  }

  let results = Results()

  /// Goes on with GPTQ's solution, and notes the errors of all.
  struct Both: LayerSolver {
    static let name = "both"
    static let summary = ""
    static let citation = ""
    var results = Results()
    enum CodingKeys: CodingKey {}
    var isSequential: Bool { true }

    func solve(_ problem: LayerProblem) throws -> LayerSolution {
      let gptq = try GPTQ().solve(problem)
      var method = QuantEase()
      method.sweeps = 5
      let own = try method.solve(problem)
      method.outliers = 0.01
      let kept = try method.solve(problem)
      let errors = [gptq, own, kept].map { problem.error(of: $0.weight.dequantized()) }
      results.append(
        Result(name: problem.name, gptq: errors[0], quantEase: errors[1], outliers: errors[2]))
      return gptq
    }
  }

  /// Solves every layer of the first blocks of the model at `path`; returns how many problems there
  /// were.
  func run(_ path: String, bits: [Int], blocks: Int) throws -> Int {
    let model = try OpenedModel(path: path).model
    let (samples, length) = (8, 64)
    var generator = SeededGenerator(seed: 1)
    let ids = (0..<samples * length).map { _ in Int(generator.next() % UInt64(model.vocabularySize))
    }
    var count = 0
    for bits in bits {
      let scheme = LayerScheme(weights: WeightScheme(format: try IntegerFormat(bits: bits)))
      var stream = ActivationStream(activations: try model.embed(ids), length: length)
      for index in 0..<blocks {
        var block = try model.block(index)
        let context = model.context(batch: samples, length: length, start: 0)
        let problem = BlockProblem(
          index: index, block: block,
          schemes: Dictionary(uniqueKeysWithValues: block.linears.map { ($0.name, scheme) }),
          original: stream, quantized: stream, targets: stream, training: 0..<samples,
          heldOut: 0..<1,
          makeContext: { model.context(batch: $0, length: length, start: 0) }, seed: 1,
          report: { _ in })
        let solution = try Both(results: results).solve(problem)
        count += solution.layers.count
        block.forEachLinear { linear in
          guard let layer = solution.layers[linear.name] else { return }
          linear.weight = .dense(layer.weight.dequantized())
        }
        stream = ActivationStream(
          activations: block(stream.activations, context), length: length)
      }
    }
    return count
  }
}
