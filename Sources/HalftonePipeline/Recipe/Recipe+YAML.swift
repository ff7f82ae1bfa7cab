import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor
import Yams

extension Recipe {
  /// Larger recipes are refused: the longest sensible one has a few kilobytes.
  static let largestFile = 1 << 20

  /// Reads a recipe; `source` names it in messages.
  ///
  /// - Throws: ``RecipeError`` naming the line of an unknown key, step or value.
  public init(yaml: String, source: String) throws(RecipeError) {
    let root = RecipeNode(node: try Self.compose(yaml, source), file: source, name: "")
    let fields = try root.fields([
      "scheme", "overrides", "steps", "calibration", "when-worse", "training-precision",
    ])
    guard let scheme = fields["scheme"] else {
      throw RecipeError(file: source, line: 0, "'scheme' is missing; it says what the grids are")
    }
    guard let steps = fields["steps"] else {
      throw RecipeError(file: source, line: 0, "'steps' is missing; it names the method")
    }
    self.source = source
    self.scheme = try SchemeFields(scheme, alsoKnown: ["cache", "ignore"])
    let others = try scheme.fields(["weights", "inputs", "cache", "ignore"])
    ignore = try others["ignore"]?.patterns() ?? []
    cache = try others["cache"]?.cacheScheme()
    overrides = try fields["overrides"]?.overrides() ?? []
    self.steps = try steps.steps()
    calibration = try fields["calibration"]?.calibrationSize() ?? CalibrationSize()
    whenWorse = try fields["when-worse"]?.choice() ?? .keep
    trainingPrecision = try fields["training-precision"]?.choice() ?? .float32
    try requireBits(at: scheme.line)
  }

  private static func compose(_ yaml: String, _ source: String) throws(RecipeError) -> Node {
    guard yaml.utf8.count <= largestFile else {
      throw RecipeError(file: source, line: 0, "larger than \(largestFile) bytes: not a recipe")
    }
    do {
      guard let node = try Yams.compose(yaml: yaml) else {
        throw RecipeError(file: source, line: 0, "the recipe is empty")
      }
      return node
    } catch let error as RecipeError {
      throw error
    } catch {
      throw RecipeError(syntax: error, file: source)
    }
  }

  /// A scheme that quantizes nothing is a mistake, unless overrides do.
  private func requireBits(at line: Int) throws(RecipeError) {
    for fields in [scheme] + overrides.map({ scheme.overlaid(with: $0.fields) }) {
      if case .fields(let weights) = fields.weights, weights.statesFormat { return }
    }
    throw RecipeError(file: source, line: line, "'weights.bits' is missing: nothing to quantize")
  }
}

extension RecipeError {
  /// What Yams says of text that is not YAML, in one line.
  fileprivate init(syntax error: any Error, file: String) {
    switch error {
    case YamlError.scanner(_, let problem, let mark, _),
      YamlError.parser(_, let problem, let mark, _),
      YamlError.composer(_, let problem, let mark, _):
      self.init(file: file, line: mark.line, "not YAML: \(problem)")
    case YamlError.duplicatedKeysInMapping(let keys, let context):
      self.init(
        file: file, line: context.mark.line,
        "the key '\(keys.sorted().joined(separator: "', '"))' is there twice")
    default:
      self.init(file: file, line: 0, "not YAML: \(error)")
    }
  }
}

extension SchemeFields {
  fileprivate init(_ node: RecipeNode, alsoKnown: [String]) throws(RecipeError) {
    let fields = try node.fields(["weights", "inputs"] + alsoKnown)
    self.init()
    if let weights = fields["weights"] {
      self.weights = weights.isNone ? .none : .fields(try WeightFields(weights))
    }
    if let inputs = fields["inputs"] {
      self.inputs = inputs.isNone ? .none : .fields(try InputFields(inputs))
    }
  }
}

extension RecipeNode {
  /// "int" or a word that ``NumberFormats`` knows.
  func numberFormat(inBlocks: Bool) throws(RecipeError) -> String {
    let word = try string()
    if NumberFormats.named(word) != nil { return word }
    return try self.word(
      of: NumberFormats.words + (inBlocks ? NumberFormats.blocks.keys.sorted() : []))
  }
}

extension InputFields {
  fileprivate init(_ node: RecipeNode) throws(RecipeError) {
    let fields = try node.fields([
      "type", "bits", "granularity", "dynamic", "symmetric", "outlier-threshold",
    ])
    type = try fields["type"]?.numberFormat(inBlocks: false)
    bits = try fields["bits"]?.int(in: 2...8)
    symmetric = try fields["symmetric"]?.bool()
    dynamic = try fields["dynamic"]?.bool()
    outlierThreshold = try fields["outlier-threshold"]?.positive()
    if let word = try fields["granularity"]?.word(of: ["token", "tensor"]) {
      granularity = word == "token" ? .token : .tensor
    }
    line = node.line
    if let dynamic, let granularity, dynamic != (granularity == .token) {
      throw node.error(
        "inputs are either granularity: token with dynamic: true, "
          + "or granularity: tensor with dynamic: false")
    }
  }
}

extension RecipeNode {
  /// Keys and values of eight bits, which is what readers of the file have; nil for none.
  fileprivate func cacheScheme() throws(RecipeError) -> InputScheme? {
    if isNone { return nil }
    let fields = try fields(["type", "bits"])
    let word = try fields["type"]?.word(of: ["int", "fp8"]) ?? "int"
    guard word == "fp8" || fields["bits"] != nil else {
      throw error("'scheme.cache' needs 'bits: 8', or type: fp8")
    }
    if let bits = fields["bits"] { _ = try bits.int(in: 8...8) }
    let format: any NumberFormat = word == "fp8" ? FloatFormat.e4m3fn : IntegerFormat.int8
    return InputScheme(format: format, granularity: .tensor, symmetric: true, dynamic: false)
  }

  fileprivate func patterns() throws(RecipeError) -> [ModulePattern] {
    var patterns: [ModulePattern] = []
    for item in isScalar ? [self] : try list() {
      patterns.append(ModulePattern(try item.string(), line: item.line))
    }
    return patterns
  }

  fileprivate func overrides() throws(RecipeError) -> [Recipe.Override] {
    var overrides: [Recipe.Override] = []
    for item in try list() {
      let fields = try item.fields(["targets", "weights", "inputs"])
      guard let targets = fields["targets"] else {
        throw item.error("'targets' is missing; it names the modules this is about")
      }
      overrides.append(
        Recipe.Override(
          targets: try targets.patterns(),
          fields: try SchemeFields(item, alsoKnown: ["targets"])))
    }
    return overrides
  }

  fileprivate func calibrationSize() throws(RecipeError) -> CalibrationSize {
    let fields = try fields(["samples", "length"])
    var size = CalibrationSize()
    if let node = fields["samples"] { size.samples = try node.int(in: 1...1 << 24) }
    if let node = fields["length"] { size.length = try node.int(in: 1...1 << 24) }
    return size
  }
}
