import HalftoneCheckpoints
import HalftoneMethods
public import HalftoneSchemes
import HalftoneTensor

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
    /// What the run chooses from, and then what that gave; nil where nothing is left open.
    public var choice: SchemeChoice?
    /// At most, where there is a choice.
    public var bytesAfter: Int
    /// Of those, what the steps add to the codes, scales and zero points.
    public var extraBytes = 0

    public var count: Int { module.rows * module.columns }

    /// Whether any scheme that the layer may have is like that.
    func mayTake(_ isLikeThat: (WeightScheme) -> Bool) -> Bool {
      let schemes = (choice?.schemes ?? []) + [scheme?.weights].compactMap { $0 }
      return schemes.contains(where: isLikeThat)
    }
  }

  /// Whether the run has still to choose a scheme.
  var hasOpenChoices: Bool { layers.contains { $0.choice?.isSettled == false } }

  /// Matches a recipe with a model; `calibration` replaces the recipe's samples and length.
  ///
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
      recipe.steps.contains { $0.part.learnsFromText }
      || layers.contains { $0.scheme?.inputs?.dynamic == false } || recipe.cache != nil
    guard layers.contains(where: { $0.scheme != nil }) else {
      throw RecipeError(
        file: recipe.source, line: 0, "leaves every layer of \(model.source) as it is")
    }
    if recipe.trainingPrecision != .float32, training.batch == 0 {
      warnings.append("training-precision has no effect: none of the steps trains; leave it out")
    }
    try checkWindows()
    if needsCalibration { try checkLength() }
  }

  /// - Throws: ``RecipeError`` if a method takes more blocks together than the model has.
  private func checkWindows() throws {
    for step in recipe.steps {
      guard let blocks = (step.part as? any QuantizationMethod)?.blocksAtOnce,
        blocks > model.blockCount
      else { continue }
      throw RecipeError(
        file: recipe.source, line: step.line,
        "\(step.name) takes \(blocks) blocks together, but the model has "
          + "\(model.blockCount) blocks; set window to at most \(model.blockCount)")
    }
  }

  /// - Throws: ``RecipeError`` if the samples are longer than the model's context.
  func checkLength() throws {
    guard calibration.length <= model.contextLength else {
      throw RecipeError(
        file: recipe.source, line: 0,
        "samples of \(calibration.length) tokens are longer than the \(model.contextLength) "
          + "the model was made for; use calibration: { length: \(model.contextLength) } "
          + "or --length \(model.contextLength)")
    }
  }

  /// Puts what a run chose for the layer at `index` in the place of its choice.
  ///
  /// - Throws: `SchemeError` if the scheme does not fit the layer.
  mutating func settle(
    _ index: Int, _ weights: WeightScheme, errors: [Double]
  ) throws(SchemeError) {
    guard var scheme = layers[index].scheme else { return }
    let module = layers[index].module
    scheme.weights = weights
    layers[index].scheme = scheme
    layers[index].choice?.settle(errors)
    layers[index].extraBytes = recipe.steps.reduce(0) {
      $0 + $1.part.extraBytes(scheme, rows: module.rows, columns: module.columns)
    }
    layers[index].bytesAfter =
      try CompressedTensorsWriter.Module(
        name: module.name, weights: weights, inputs: scheme.inputs
      ).byteCount(rows: module.rows, columns: module.columns) + layers[index].extraBytes
  }

  // MARK: - Sizes

  public var bytesBefore: Int { model.byteCount }

  public var bytesAfter: Int {
    layers.reduce(model.byteCount + cacheBytes) { $0 - $1.module.byteCount + $1.bytesAfter }
  }

  /// A scale of keys and one of values in every block.
  private var cacheBytes: Int { recipe.cache == nil ? 0 : 8 * model.blockCount }

  /// Of the layers that are quantized, with their scales, zero points and what the steps add.
  public var bitsPerWeight: Double {
    bitsPerWeight(extraBytes: layers.reduce(0) { $0 + $1.extraBytes })
  }

  /// The same where the steps added so many bytes in all.
  func bitsPerWeight(extraBytes: Int) -> Double {
    let quantized = layers.filter { $0.scheme?.weights != nil }
    let bytes = quantized.reduce(extraBytes) { $0 + $1.bytesAfter - $1.extraBytes }
    return Double(bytes * 8) / Double(max(1, quantized.reduce(0) { $0 + $1.count }))
  }

  /// - Throws: ``PipelineError`` if the run is expected to take more than `memory` bytes.
  public func check(_ memory: Int, _ withCalibration: Bool, streams: Bool = true) throws {
    let peak = peakBytes(withCalibration: withCalibration, streams: streams)
    guard peak > memory else { return }
    throw PipelineError(
      .usage,
      "the run is expected to take \(ByteSize.text(peak)), more than --memory "
        + "\(ByteSize.text(memory)); use fewer --samples or a shorter --length", at: model.source)
  }

  /// The layers that are quantized, for the writer of checkpoints.
  var writtenModules: [CompressedTensorsWriter.Module] {
    layers.compactMap { layer in
      guard let scheme = layer.scheme, let weights = scheme.weights else { return nil }
      return CompressedTensorsWriter.Module(
        name: layer.module.name, weights: weights, inputs: scheme.inputs)
    }
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
    let schemes = try resolve(fields, module)
    guard let scheme = schemes.first else { return layer }
    layer.scheme = scheme
    layer.choice = SchemeChoice(schemes.compactMap(\.weights), fields.adaptiveGroups)
    layer.extraBytes =
      schemes.map { scheme in
        steps.reduce(0) {
          $0 + $1.part.extraBytes(scheme, rows: module.rows, columns: module.columns)
        }
      }.max() ?? 0
    var bytes = 0
    for scheme in schemes { bytes = max(bytes, try packedByteCount(scheme, module, fields)) }
    layer.bytesAfter = bytes + layer.extraBytes
    return layer
  }

  /// The schemes that a layer may have; none where it stays as it is.
  private func resolve(
    _ fields: SchemeFields, _ module: ModelLayout.Module
  ) throws(RecipeError) -> [LayerScheme] {
    guard case .fields(let weightFields) = fields.weights else { return [] }
    var schemes: [LayerScheme]
    do {
      schemes = try weightFields.schemes().map { LayerScheme(weights: $0) }
    } catch {
      throw RecipeError(file: source, line: weightFields.bitsLine, "\(module.name): \(error)")
    }
    if let groups = fields.adaptiveGroups {
      if let scales = schemes.lazy.compactMap(\.weights?.scales).first(where: \.hasRowUnits) {
        throw RecipeError(
          file: source, line: weightFields.groupsLine,
          "granularity: adaptive may leave rows whole, but scales: \(scales.rawValue) needs several "
            + "groups in each; use group: SIZE")
      }
      for i in schemes.indices {
        schemes[i].weights?.granularity = groups.finest(columns: module.columns)
      }
    }
    if case .fields(let inputs) = fields.inputs {
      do {
        let inputs = try inputs.scheme()
        for i in schemes.indices { schemes[i].inputs = inputs }
      } catch {
        throw RecipeError(file: source, line: inputs.line, "\(module.name): \(error)")
      }
    }
    for scheme in schemes {
      do {
        try scheme.weights?.check(rows: module.rows, columns: module.columns)
      } catch {
        throw RecipeError(
          file: source, line: weightFields.groupsLine, "\(module.name): \(error)")
      }
      try check(scheme, module)
    }
    return schemes
  }

  private func check(
    _ scheme: LayerScheme, _ module: ModelLayout.Module
  ) throws(RecipeError) {
    for step in steps {
      do {
        if let format = scheme.weights?.format as? OutlierVictimFormat,
          step.part is any QuantizationMethod, !(step.part is RoundToNearest)
        {
          throw SchemeError("\(format.name) rounds pairs, which rtn alone does; use rtn")
        }
        try step.part.validate(scheme, rows: module.rows, columns: module.columns)
      } catch {
        throw RecipeError(file: source, line: step.line, "\(module.name): \(error)")
      }
    }
  }

  /// Codes, scales and zero points as the checkpoint stores them.
  private func packedByteCount(
    _ scheme: LayerScheme, _ module: ModelLayout.Module, _ fields: SchemeFields
  ) throws(RecipeError) -> Int {
    guard let weights = scheme.weights else { return module.byteCount }
    do {
      return try CompressedTensorsWriter.Module(
        name: module.name, weights: weights, inputs: scheme.inputs
      ).byteCount(rows: module.rows, columns: module.columns)
    } catch {
      var line = 0
      if case .fields(let weights) = fields.weights { line = weights.groupsLine }
      throw RecipeError(file: source, line: line, "\(module.name): \(error)")
    }
  }
}

extension SchemeFields {
  /// Where the run chooses the size of groups.
  var adaptiveGroups: AdaptiveGroups? {
    guard case .fields(let weights) = weights, let threshold = weights.adaptiveThreshold,
      case .group(let least) = weights.granularity, !weights.settlesGroups
    else { return nil }
    return AdaptiveGroups(threshold: threshold, least: least)
  }
}
