import Foundation
import HalftoneMethods

extension RecipeNode {
  /// The methods named by a list of bare names and single-key maps.
  func steps() throws(RecipeError) -> [Recipe.Step] {
    let items = try list()
    guard items.count == 1, let item = items.first else {
      throw error(
        items.isEmpty
          ? "'steps' is empty; known methods: \(Self.methodNames.joined(separator: ", "))"
          : "this version runs one method a recipe; 'steps' names \(items.count)")
    }
    return [try item.step()]
  }

  private static var methodNames: [String] { MethodCatalog.all.map { $0.name } }

  private func step() throws(RecipeError) -> Recipe.Step {
    if isScalar {
      return Recipe.Step(method: try method(try string(), nil), line: line)
    }
    let pairs = try pairs()
    guard let pair = pairs.first, pairs.count == 1 else {
      throw error("a step is a method's name, or one name with its parameters")
    }
    let parameters = pair.value.isNull ? nil : pair.value
    return Recipe.Step(method: try method(pair.key.text, parameters), line: pair.key.line)
  }

  private func method(
    _ name: String, _ parameters: RecipeNode?
  ) throws(RecipeError) -> any QuantizationMethod {
    guard let type = MethodCatalog.all.first(where: { $0.name == name }) else {
      throw error("unknown method '\(name)'; \(NearestWord.hint(name, in: Self.methodNames))")
    }
    return try decode(type, parameters)
  }

  /// The method's defaults with the stated parameters in their place.
  private func decode<Method: QuantizationMethod>(
    _ type: Method.Type, _ parameters: RecipeNode?
  ) throws(RecipeError) -> any QuantizationMethod {
    let defaults = Method()
    guard let parameters else { return defaults }
    guard var values = try? RecipeValue.ownFields(of: defaults) else {
      throw error("the defaults of \(Method.name) cannot be encoded")
    }
    let stated = try parameters.fields(values.keys.map(RecipeValue.word).sorted())
    for key in values.keys {
      if let node = stated[RecipeValue.word(for: key)] { values[key] = try node.value() }
    }
    do {
      return try JSONDecoder().decode(Method.self, from: JSONEncoder().encode(values))
    } catch let error as DecodingError {
      throw Self.explained(error, stated, parameters)
    } catch {
      throw parameters.error("\(Method.name): \(error)")
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
