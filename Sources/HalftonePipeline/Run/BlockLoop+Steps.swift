import HalftoneLayers
import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor

extension BlockLoop {
  /// What the recipe's steps make of a block; `problem` keeps the block that was quantized.
  func solution(_ problem: inout BlockProblem) throws -> BlockSolution {
    guard let method = plan.recipe.method else {
      throw PipelineError(.usage, "names no method", at: plan.recipe.source)
    }
    guard !problem.schemes.isEmpty else { return BlockSolution(layers: [:]) }
    let original = problem.block
    let changes = try transform(&problem)
    var solution = try method.solve(problem)
    solution.parameters.merge(changes.parameters) { own, _ in own }
    try solution.compensate(by: plan.recipe.compensators, problem, original: original)
    if let first = problem.block.linears.first(where: { problem.schemes[$0.name] != nil }) {
      solution.layers[first.name]?.warnings += changes.warnings
    }
    return solution
  }

  /// Puts the block that the recipe's transforms make into `problem`.
  func transform(
    _ problem: inout BlockProblem
  ) throws -> (parameters: [String: Tensor], warnings: [String]) {
    var (parameters, warnings): ([String: Tensor], [String]) = ([:], [])
    guard !plan.recipe.transforms.isEmpty, !problem.schemes.isEmpty else {
      return (parameters, warnings)
    }
    let original = problem.block
    for transform in plan.recipe.transforms {
      let result = try transform.transform(problem)
      problem.block = result.block
      parameters.merge(result.parameters) { _, new in new }
      warnings += result.warnings
    }
    for (before, after) in zip(original.linears, problem.block.linears) {
      let name = before.name + ".weight"
      let isQuantized = problem.schemes[before.name]?.weights != nil
      guard after.name == before.name, after.weight.shape == before.weight.shape,
        !(isQuantized && parameters[name] != nil)
      else { throw MethodError("a transform changed \(before.name) into another layer") }
      guard !isQuantized, parameters[name] == nil else { continue }
      guard after.weight.dense().values == before.weight.dense().values else {
        throw MethodError(
          "a transform changed \(name), which is not quantized, without saying so; "
            + "let the recipe quantize it")
      }
    }
    return (parameters, warnings)
  }
}
