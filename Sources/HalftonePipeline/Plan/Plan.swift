import HalftoneMethods
public import HalftoneSchemes

/// What a recipe would do to a model: every layer with its grid, its size and the cost of the run.
public struct Plan: Sendable {
  public var model: ModelLayout
  public var recipe: Recipe
  public var layers: [Layer]
  public var calibration: CalibrationSize
  /// Text to learn from is needed.
  public var needsCalibration: Bool
  public var warnings: [String]

  /// What happens to one linear layer.
  public struct Layer: Sendable, Equatable {
    public var module: ModelLayout.Module
    /// nil where the layer stays as it is.
    public var scheme: LayerScheme?
    public var bytesAfter: Int

    public var count: Int { module.rows * module.columns }
  }

  /// Matches a recipe with a model.
  ///
  /// - Parameter calibration: what replaces the recipe's samples and length, if given.
  /// - Throws: ``RecipeError`` naming the line of a pattern that matches nothing (unless
  ///   `allowUnmatched`) or of a scheme that a layer or the method cannot have.
  public init(
    _ recipe: Recipe, for model: ModelLayout, calibration: CalibrationSize? = nil,
    allowUnmatched: Bool = false
  ) throws {
    self.recipe = recipe
    self.model = model
    self.calibration = calibration ?? recipe.calibration
    warnings = []
    let unmatched = recipe.unmatchedPatterns(in: model)
    guard allowUnmatched || unmatched.isEmpty else { throw unmatched[0] }
    warnings += unmatched.map(\.description)
    layers = try model.modules.map { try recipe.plan($0) }
    needsCalibration =
      recipe.steps.contains { type(of: $0.method).needsCalibration }
      || layers.contains { $0.scheme?.inputs?.dynamic == false }
    guard layers.contains(where: { $0.scheme != nil }) else {
      throw RecipeError(
        file: recipe.source, line: 0, "leaves every layer of \(model.source) as it is")
    }
    guard !needsCalibration || self.calibration.length <= model.contextLength else {
      throw RecipeError(
        file: recipe.source, line: 0,
        "samples of \(self.calibration.length) tokens are longer than the \(model.contextLength) "
          + "the model was made for; use calibration: { length: \(model.contextLength) } "
          + "or --length \(model.contextLength)")
    }
  }

  // MARK: - Sizes

  public var bytesBefore: Int { model.byteCount }

  public var bytesAfter: Int {
    layers.reduce(model.byteCount) { $0 - $1.module.byteCount + $1.bytesAfter }
  }

  /// Of the layers that are quantized, with their scales and zero points.
  public var bitsPerWeight: Double {
    let quantized = layers.filter { $0.scheme?.weights != nil }
    let bytes = quantized.reduce(0) { $0 + $1.bytesAfter }
    return Double(bytes * 8) / Double(max(1, quantized.reduce(0) { $0 + $1.count }))
  }

  /// The schemes of the layers of one block, by name.
  func schemes(ofBlock block: Int) -> [String: LayerScheme] {
    var schemes: [String: LayerScheme] = [:]
    for layer in layers where layer.module.block == block {
      schemes[layer.module.name] = layer.scheme
    }
    return schemes
  }
}

extension Recipe {
  /// Modules outside the blocks, which no recipe of this version quantizes.
  static let outsideBlocks = ["lm_head", "model.embed_tokens", "embed_tokens"]

  fileprivate func unmatchedPatterns(in model: ModelLayout) -> [RecipeError] {
    let names = model.modules.map(\.name)
    func unmatched(_ patterns: [ModulePattern], _ names: [String]) -> [RecipeError] {
      patterns.filter { !names.contains(where: $0.matches) }.map { pattern in
        let hint =
          Self.outsideBlocks.contains(where: pattern.matches)
          ? "this version quantizes the linear layers of blocks"
          : NearestWord.hint(pattern.text, in: Self.shapes(of: model.modules.map(\.name)))
        return RecipeError(
          file: source, line: pattern.line,
          "'\(pattern.text)' matches no linear layer of \(model.source); \(hint)")
      }
    }
    return unmatched(ignore, names + Self.outsideBlocks)
      + overrides.flatMap { unmatched($0.targets, names) }
  }

  /// The names with `*` for block numbers, each once, without the leading "model.".
  private static func shapes(of names: [String]) -> [String] {
    let shapes = names.map { name in
      name.split(separator: ".").drop { $0 == "model" }
        .map { Int($0) == nil ? String($0) : "*" }.joined(separator: ".")
    }
    return Set(shapes).sorted()
  }

  fileprivate func plan(_ module: ModelLayout.Module) throws(RecipeError) -> Plan.Layer {
    var layer = Plan.Layer(module: module, scheme: nil, bytesAfter: module.byteCount)
    guard !ignore.contains(where: { $0.matches(module.name) }) else { return layer }
    let fields = overrides.filter { $0.targets.contains { $0.matches(module.name) } }
      .reduce(scheme) { $0.overlaid(with: $1.fields) }
    guard let scheme = try resolve(fields, module), let weights = scheme.weights else {
      return layer
    }
    layer.scheme = scheme
    layer.bytesAfter = try packedByteCount(weights, module, fields)
    return layer
  }

  private func resolve(
    _ fields: SchemeFields, _ module: ModelLayout.Module
  ) throws(RecipeError) -> LayerScheme? {
    guard case .fields(let weightFields) = fields.weights else { return nil }
    var scheme: LayerScheme
    do {
      guard let weights = try weightFields.scheme() else { return nil }
      scheme = LayerScheme(weights: weights)
      if case .fields(let inputs) = fields.inputs { scheme.inputs = try inputs.scheme() }
    } catch {
      throw RecipeError(file: source, line: weightFields.bitsLine, "\(module.name): \(error)")
    }
    for step in steps {
      do {
        try step.method.validate(scheme, rows: module.rows, columns: module.columns)
      } catch {
        throw RecipeError(file: source, line: step.line, "\(module.name): \(error)")
      }
    }
    return scheme
  }

  /// Codes, scales and zero points as they are stored.
  private func packedByteCount(
    _ weights: WeightScheme, _ module: ModelLayout.Module, _ fields: SchemeFields
  ) throws(RecipeError) -> Int {
    do {
      let table = try weights.granularity.tableShape(rows: module.rows, columns: module.columns)
      let cells = table.rows * table.columns
      let zeros = weights.symmetric ? 0 : (cells * weights.format.bits + 7) / 8
      return (module.rows * module.columns * weights.format.bits + 7) / 8 + 4 * cells + zeros
    } catch {
      var line = 0
      if case .fields(let weights) = fields.weights { line = weights.granularityLine }
      throw RecipeError(file: source, line: line, "\(module.name): \(error)")
    }
  }
}
