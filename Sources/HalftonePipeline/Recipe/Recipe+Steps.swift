import Foundation
import HalftoneMethods

extension RecipeNode {
  /// The parts named by a list of bare names and single-key maps: transforms, one method,
  /// compensators.
  func steps() throws(RecipeError) -> [Recipe.Step] {
    var steps: [Recipe.Step] = []
    for item in try list() {
      let step = try item.step()
      try item.checkOrder(of: step, after: steps)
      steps.append(step)
    }
    guard steps.contains(where: { $0.part is any QuantizationMethod }) else {
      let known = "known methods: \(MethodCatalog.all.map { $0.name }.joined(separator: ", "))"
      guard let first = steps.first else { throw error("'steps' is empty; \(known)") }
      throw RecipeError(file: file, line: first.line, "'steps' names no method; \(known)")
    }
    return steps
  }

  private func checkOrder(
    of step: Recipe.Step, after earlier: [Recipe.Step]
  ) throws(RecipeError) {
    func refusal(_ message: String) -> RecipeError {
      RecipeError(file: file, line: step.line, message)
    }
    let method = earlier.first { $0.part is any QuantizationMethod }
    switch (step.part, method) {
    case (is any QuantizationMethod, let method?):
      throw refusal(
        "there is one method a recipe: '\(method.name)' chooses the codes already, so leave one of "
          + "'\(method.name)' and '\(step.name)' out")
    case (is any ModelTransform, let method?):
      throw refusal("'\(step.name)' changes what is quantized: put it before '\(method.name)'")
    case (is any Compensator, nil):
      throw refusal("'\(step.name)' adds to what a method left: put it after the method")
    default: break
    }
    guard !earlier.contains(where: { $0.name == step.name }) else {
      throw refusal("'\(step.name)' is there twice; leave one out")
    }
  }

  private static var names: [String] { MethodCatalog.steps.map { $0.name } }

  private func step() throws(RecipeError) -> Recipe.Step {
    if isScalar {
      return Recipe.Step(part: try part(try string(), nil), line: line)
    }
    let pairs = try pairs()
    guard let pair = pairs.first, pairs.count == 1 else {
      throw error("a step is a name, or one name with its parameters")
    }
    let parameters = pair.value.isNull ? nil : pair.value
    return Recipe.Step(part: try part(pair.key.text, parameters), line: pair.key.line)
  }

  private func part(
    _ name: String, _ parameters: RecipeNode?
  ) throws(RecipeError) -> any RecipeStep {
    guard let type = MethodCatalog.steps.first(where: { $0.name == name }) else {
      throw error("unknown step '\(name)'; \(NearestWord.hint(name, in: Self.names))")
    }
    return try decode(type, parameters)
  }

  /// The step's defaults with the stated parameters in their place.
  private func decode<Part: RecipeStep>(
    _ type: Part.Type, _ parameters: RecipeNode?
  ) throws(RecipeError) -> any RecipeStep {
    let defaults = Part()
    guard let parameters else { return defaults }
    guard var values = try? RecipeValue.ownFields(of: defaults) else {
      throw error("the defaults of \(Part.name) cannot be encoded")
    }
    let stated = try parameters.fields(values.keys.map(RecipeValue.word).sorted())
    for key in values.keys {
      if let node = stated[RecipeValue.word(for: key)] { values[key] = try node.value() }
    }
    do {
      return try JSONDecoder().decode(Part.self, from: JSONEncoder().encode(values))
    } catch let error as DecodingError {
      throw Self.explained(error, stated, parameters)
    } catch {
      throw parameters.error("\(Part.name): \(error)")
    }
  }

  private static func explained(
    _ error: DecodingError, _ stated: [String: RecipeNode], _ parameters: RecipeNode
  ) -> RecipeError {
    let (context, expected): (DecodingError.Context, String) =
      switch error {
      case .typeMismatch(let type, let context): (context, "must be \(described(type))")
      case .valueNotFound(let type, let context): (context, "must be \(described(type))")
      case .keyNotFound(let key, let context): (context, "lacks '\(key.stringValue)'")
      case .dataCorrupted(let context): (context, context.debugDescription)
      @unknown default: (.init(codingPath: [], debugDescription: ""), "cannot be read")
      }
    let key = context.codingPath.first.map { RecipeValue.word(for: $0.stringValue) }
    let node = key.flatMap { stated[$0] } ?? parameters
    return node.error("'\(node.name)' \(expected)")
  }

  private static func described(_ type: any Any.Type) -> String {
    switch type {
    case is Int.Type: "a whole number"
    case is Float.Type, is Double.Type: "a number"
    case is Bool.Type: "true or false"
    case is String.Type: "a word"
    default: "a \(type)"
    }
  }
}
