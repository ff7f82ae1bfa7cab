import Foundation
import Halftone
import Synchronization

/// Every linear layer of a model, solved by GPTQ and by QuantEase from the same moments.
struct SolverComparison {
  let model: any LanguageModel
  let ids: [Int]
  let length: Int
  let bits: Int

  struct Result: Sendable {
    let layer: String
    /// Output errors relative to ‖WX‖², or ‖WX₀‖² and up to a constant: RTN, GPTQ, QuantEase, QuantEase
    /// with 1 % outliers.
    let errors: [Double]
    let seconds: [Double]
  }

  final class Results: Sendable {
    private let list = Mutex<[Result]>([])
    var values: [Result] { list.withLock { $0 } }
    func append(_ result: Result) { list.withLock { $0.append(result) } }
  }

  /// Goes on with GPTQ's solution, and notes the errors of all.
  struct Both: LayerSolver {
    static let name = "both"
    static let summary = "GPTQ and QuantEase on the same problem."
    static let citation = ""
    var results = Results()
    enum CodingKeys: CodingKey {}
    var isSequential: Bool { true }

    func solve(_ problem: LayerProblem) throws -> LayerSolution {
      var kept = QuantEase()
      kept.outliers = 0.01
      let zero = Tensor(repeating: 0, shape: problem.weights.shape)
      let full = problem.rowErrors(of: zero).reduce(0, +)
      let rounded = try RoundToNearest.quantize(problem.weights, problem.scheme)
      var errors = [problem.rowErrors(of: rounded.dequantized()).reduce(0, +) / full]
      var seconds = [0.0]
      var solutions: [LayerSolution] = []
      for solver in [GPTQ(), QuantEase(), kept] as [any LayerSolver] {
        let start = ContinuousClock.now
        solutions.append(try solver.solve(problem))
        seconds.append((ContinuousClock.now - start) / .seconds(1))
        let values = solutions[solutions.count - 1].weight.dequantized()
        errors.append(problem.rowErrors(of: values).reduce(0, +) / full)
      }
      results.append(Result(layer: problem.name, errors: errors, seconds: seconds))
      return solutions[0]
    }
  }

  func callAsFunction() throws -> [Result] {
    let samples = ids.count / length
    let scheme = LayerScheme(weights: WeightScheme(format: try IntegerFormat(bits: bits)))
    let solver = Both()
    var stream = ActivationStream(activations: try model.embed(ids), length: length)
    for index in 0..<model.blockCount {
      var block = try model.block(index)
      let problem = BlockProblem(
        index: index, block: block,
        schemes: Dictionary(uniqueKeysWithValues: block.linears.map { ($0.name, scheme) }),
        original: stream, quantized: stream, targets: stream, training: 0..<samples,
        heldOut: 0..<1, makeContext: { model.context(batch: $0, length: length, start: 0) },
        seed: 1, report: { _ in })
      let solution = try solver.solve(problem)
      block.forEachLinear { linear in
        guard let layer = solution.layers[linear.name] else { return }
        linear.weight = .dense(layer.weight.dequantized())
      }
      let context = model.context(batch: samples, length: length, start: 0)
      stream = ActivationStream(activations: block(stream.activations, context), length: length)
    }
    return solver.results.values
  }
}
